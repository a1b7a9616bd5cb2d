"""Logs: one JSON object a line. They name routes, statuses and request ids, never users, notes or content."""

import logging
import traceback
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter


def configure_logging(level: str, stream: TextIO) -> None:
    """Write all logs of this process as JSON."""
    handler = logging.StreamHandler(stream)
    fields = ["levelname", "name", "message"]
    handler.setFormatter(JsonFormatter(fields, rename_fields={"levelname": "level"}, timestamp="at"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def failure(error: BaseException) -> dict[str, Any]:
    """Log fields for an unforeseen error: its type and where it was raised, not its text: that may hold content."""
    frames = traceback.extract_tb(error.__traceback__)
    return {"error": type(error).__name__, "frames": [f"{one.filename}:{one.lineno} {one.name}" for one in frames]}
