"""HTTP/1.1 on a socket, within bounds: what nobody has asked for yet with a key costs as little as possible.

uvicorn's own protocol takes headers of any length and waits for them, and for bodies, for ever.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.errors import (
    MEDIA_TYPE,
    BadRequestError,
    BusyError,
    HeadersTooLargeError,
    ServingError,
    TimedOutError,
    problem_of,
)

MAX_HEADER_BYTES: Final = 32 * 1024
"""Of a request's line and headers together, or of what is around a body's chunks."""
MAX_PIPELINED: Final = 16
_SLICE_BYTES: Final = MAX_HEADER_BYTES
_OVERHEAD: Final = 8
"""Bytes that a byte of a body may come with: in chunks of one byte it comes with five."""
_LINGER_S: Final = 2.0
"""How long a connection stays after a refusal: closed at once, the caller might lose the answer."""
_LINGER_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a connection may take; ``refused`` hears why one was ended."""

    max_connections: int
    header_timeout_s: float
    body_timeout_s: float
    refused: Callable[[str], None]


class BoundedProtocol(HttpToolsProtocol):
    """A connection whose headers, bodies and pauses have an end; ``bounds`` is set by ``bounded``."""

    bounds: ClassVar[Bounds]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_headers = True
        self._n_headers = 0  # bytes of the headers that came, as they were sent
        self._n_read_headers = 0  # those of the headers that are read
        self._n_around_body = 0
        self._n_body = 0
        self._n_messages = 0
        self._refused = False
        self._n_dropped = 0
        self._phase = ""
        self._deadline: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, which has to send its first request in time."""
        super().connection_made(cast("asyncio.Transport", transport))
        if len(self.connections) > self.bounds.max_connections:
            return self._refuse(BusyError("too many connections are open"))
        return self._enter("headers")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget every deadline."""
        self._enter("")
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, a slice at a time, so that a bound holds whatever comes at once."""
        for start in range(0, len(data), _SLICE_BYTES):
            if self._refused or self.transport.is_closing():
                return self._drop(len(data) - start)
            self._read(data[start : start + _SLICE_BYTES])
        if not self._refused:
            self._enter(self._present_phase())
        return None

    def _read(self, data: bytes) -> None:
        n_before, was_in_headers = self._n_messages, self._in_headers
        super().data_received(data)
        if n_before != self._n_messages or was_in_headers != self._in_headers:
            self._n_headers = self._n_around_body = self._n_body = 0
        elif self._in_headers:
            self._n_headers += len(data)
        else:
            self._n_around_body += len(data)
        if self._n_headers > MAX_HEADER_BYTES:
            self._refuse(HeadersTooLargeError())
        elif self._n_around_body > MAX_HEADER_BYTES + self._n_body * _OVERHEAD:
            self._refuse(BadRequestError("the chunks of the body come with too much around them"))

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._n_read_headers = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the URL."""
        self._n_read_headers += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one that follows a body is none, as whoever stood in between did not see it."""
        if self._in_headers:
            self._n_read_headers += len(name) + len(value)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start on a request whose headers are within the bounds."""
        if self._n_read_headers > MAX_HEADER_BYTES:
            raise HeadersTooLargeError
        if len(self.pipeline) >= MAX_PIPELINED:
            raise BadRequestError("too many requests are sent before the first is answered")
        self._in_headers = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._n_body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; the next one's headers follow."""
        self._n_messages += 1
        self._in_headers = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on to the next request, or wait a little for the end of one that was answered before it was whole."""
        super().on_response_complete()
        if self._phase == "body":
            self._enter(self._present_phase())

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or more of it than may be."""
        if self._n_read_headers > MAX_HEADER_BYTES:
            return self._refuse(HeadersTooLargeError())
        return self._refuse(BadRequestError("this is no HTTP request"))

    def _present_phase(self) -> str:
        if not self._in_headers:
            return "rest" if self.cycle.response_complete else "body"
        return "headers" if self._n_headers else ""

    def _enter(self, phase: str) -> None:
        """Set the deadline of a phase, unless it runs already."""
        if phase == self._phase:
            return
        self._phase = phase
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None
        times_s = {"headers": self.bounds.header_timeout_s, "body": self.bounds.body_timeout_s}
        if phase:
            self._deadline = self.loop.call_later(times_s.get(phase, _LINGER_S), self._end_phase)

    def _end_phase(self) -> None:
        phase, self._phase, self._deadline = self._phase, "", None
        is_waiting = self.cycle is not None and not self.cycle.response_complete
        if phase in ("rest", "refused") or (phase == "headers" and not self._n_headers):
            self.transport.close()
        elif phase == "headers" and is_waiting:
            self._enter(phase)  # it may send its next request while it waits for an answer
        else:
            self._refuse(TimedOutError())

    def _refuse(self, error: ServingError) -> None:
        """Answer and close, as soon as the caller has had the time to read the answer."""
        self._refused = True
        self.bounds.refused(error.code)
        self._enter("refused")
        if self.cycle is not None and not self.cycle.response_complete:
            if self.cycle.response_started:
                return self.transport.abort()
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(_answer(error))
        return self.transport.write_eof()

    def _drop(self, n_bytes: int) -> None:
        self._n_dropped += n_bytes
        if self._n_dropped > _LINGER_BYTES:
            self.flow.pause_reading()

    def pause_writing(self) -> None:
        """Wait for a caller who does not read its answer, but not for ever."""
        super().pause_writing()
        if self._stuck is None:
            self._stuck = self.loop.call_later(self.bounds.body_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """See ``pause_writing``."""
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None


def bounded(bounds: Bounds) -> type[BoundedProtocol]:
    """The protocol of a server with such bounds."""
    return type("ServersProtocol", (BoundedProtocol,), {"bounds": bounds})


def _answer(error: ServingError) -> bytes:
    body = json.dumps(problem_of(error, "")).encode()
    head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return STATUS_LINE[error.status] + head.encode() + body
