"""What a failover of PostgreSQL asks of pools: to let go of sessions with a server that is no primary any more."""

from typing import Any, Final

from asyncpg import TargetServerAttributeNotMatched
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

_READ_ONLY: Final = "25006"
"""The SQLSTATE of a write in a session that may only read."""


def is_read_only(error: BaseException) -> bool:
    """Whether a database was read but would not be written: the session, or whichever server answers to its name."""
    cause = driver_error(error)
    return isinstance(cause, TargetServerAttributeNotMatched) or getattr(cause, "sqlstate", None) == _READ_ONLY


def driver_error(error: BaseException) -> BaseException:
    """What the driver raised, where SQLAlchemy raised this from it."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return cause.__cause__ or cause


class Failovers:
    """Counts them, over the pools it watches; a connection from before the last one is replaced at its next use."""

    def __init__(self) -> None:
        self._n_seen = 0

    def watch(self, engine: Engine) -> None:
        """Look after an engine's pool."""
        event.listen(engine, "connect", self._stamp)
        event.listen(engine, "checkout", self._check)
        event.listen(engine, "handle_error", self._notice)

    def _stamp(self, _: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        entry.info["n_failovers"] = self._n_seen

    def _check(self, _: DBAPIConnection, entry: ConnectionPoolEntry, __: Any) -> None:
        if entry.info["n_failovers"] != self._n_seen:
            raise DisconnectionError("the connection is from before a failover")

    def _notice(self, context: ExceptionContext) -> None:
        if is_read_only(context.original_exception):
            self._n_seen += 1
            context.is_disconnect = True
