"""Logs: one JSON object a line. They name routes, statuses and request ids, never users, notes or content."""

import asyncio
import logging
import traceback
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from pydantic_core import to_json

_OF_EVERY_RECORD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_SEARCHED: Final = ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks", "_srcfile")
"""What ``logging`` finds out for each record unless told not to; no line of ours has any of it."""


def configure_logging(level: str, stream: TextIO) -> None:
    """Write all logs of this process as JSON."""
    for switch in _SEARCHED:
        setattr(logging, switch, False)
    handler = Lines(stream)
    handler.setFormatter(JsonLine())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)


class Lines(logging.StreamHandler[TextIO]):
    """Writes lines; those of one turn of the event loop go out together, at its end, others at once."""

    _turning: asyncio.AbstractEventLoop | None = None

    def flush(self) -> None:
        """Let out what was written, at once or at the turn's end."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            super().flush()
        else:
            if self._turning is not loop:
                self._turning = loop
                loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._turning = None
        super().flush()


class JsonLine(logging.Formatter):
    """A record as one JSON object: level, logger, message, whatever ``extra`` it was given, and when."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {"level": record.levelname, "name": record.name, "message": record.getMessage()}
        line |= {name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD}
        if record.exc_info:
            line["exc_info"] = self.formatException(record.exc_info)
        line["at"] = datetime.fromtimestamp(record.created, UTC).isoformat()
        return to_json(line, fallback=str).decode()


def failure(error: BaseException) -> dict[str, Any]:
    """Log fields for an unforeseen error: its type, where it was raised, and what caused it.

    Its text is left out: that may hold content.
    """
    frames = [f"{one.filename}:{one.lineno} {one.name}" for one in traceback.extract_tb(error.__traceback__)]
    return {"error": type(error).__name__, "causes": causes(error), "frames": frames}


def causes(error: BaseException) -> list[str]:
    """What led to an error, the nearest first: classes, each with its SQLSTATE or SQLite's name for it."""
    found = []
    while cause := error.__cause__:
        found.append(coded(cause))
        error = cause
    return found


def coded(error: BaseException) -> str:
    """An error's class, with its SQLSTATE or SQLite's name for it where it has one."""
    code = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__
