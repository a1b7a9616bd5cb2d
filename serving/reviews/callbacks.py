"""Tells the community what was decided, so that author and reporters learn it: signed, over HTTPS, until it is taken.

Where to is set by who runs the server, never by a request. The name is resolved once for each attempt, an address that
is not public is refused, and the connection goes to the address that was looked at; redirects are not followed.
"""

import asyncio
import hashlib
import hmac
import http.client
import ipaddress
import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from typing import Final, NamedTuple
from urllib.parse import SplitResult

from serving.each import raise_all
from serving.instants import SECOND_US, Clock, to_datetime
from serving.metrics import Metrics
from serving.store.reviews import Review, ReviewStore

_log = logging.getLogger(__name__)

MAX_ATTEMPTS: Final = 8
_FIRST_S: Final = 30
_LONGEST_S: Final = 6 * 3600
_TIMEOUT_S: Final = 10.0
_DEADLINE_S: Final = 20.0
"""For a whole callback: a receiver may send a byte now and then for ever."""
_LEASE_S: Final = 120
"""When a callback comes again of which nothing was heard, as where the server was killed."""
_AT_ONCE: Final = 8
_PATIENCE_S: Final = 2.0


class Receiver(NamedTuple):
    """Where callbacks go, and the secret that signs them; ``resolve`` finds the address of a host and port."""

    url: SplitResult
    secret: bytes
    resolve: Callable[[str, int], str]
    context: ssl.SSLContext


class Callbacks:
    """Sends what is due, many at once; what is not taken comes again later and later, and after the last attempt is
    listed as untold.
    """

    def __init__(self, reviews: ReviewStore, receiver: Receiver, *, metrics: Metrics, clock: Clock) -> None:
        self._reviews = reviews
        self._receiver = receiver
        self._metrics = metrics
        self._clock = clock
        self._threads = ThreadPoolExecutor(_AT_ONCE, "callback")
        self._under_way: set[asyncio.Task[None]] = set()
        self._failures: list[Exception] = []

    async def follow(self) -> None:
        """Send what is due now. A receiver that does not answer soon is waited for beside what follows; what went wrong
        here, and not there, is raised at the end.
        """
        while started := await self._start():
            _, slow = await asyncio.wait(started, timeout=_PATIENCE_S)
            if slow:
                break
        failures, self._failures = self._failures, []
        raise_all(failures)

    async def close(self) -> None:
        """Let go of what is under way: another server, or the next start, sends it again."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        self._threads.shutdown(wait=False)

    async def _start(self) -> set[asyncio.Task[None]]:
        """Begin to send as much of what is due as may be under way."""
        n_free = _AT_ONCE - len(self._under_way)
        if not n_free:
            return set()
        now = self._clock()
        due = await self._reviews.due(now, again_at=now + _LEASE_S * SECOND_US, limit=n_free)
        started = {asyncio.create_task(self._send(review, n_attempts + 1)) for review, n_attempts in due}
        self._under_way |= started
        for task in started:
            task.add_done_callback(self._settle)
        return started

    def _settle(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._failures.append(error)

    async def _send(self, review: Review, n_attempts: int) -> None:
        reporters = await self._reviews.reporters(review.note_id, before=review.decided_at or 0)
        now, loop = self._clock(), asyncio.get_running_loop()
        sending = loop.run_in_executor(
            self._threads, lambda: send(self._receiver, body_of(review, reporters), at_s=now // SECOND_US)
        )
        (failed,) = await asyncio.gather(sending, return_exceptions=True)
        again_at, outcome = None, "taken"
        if isinstance(failed, Exception):
            wait_s = min(_LONGEST_S, _FIRST_S * 4 ** (n_attempts - 1))
            again_at = None if n_attempts >= MAX_ATTEMPTS else now + wait_s * SECOND_US
            outcome = "dead" if again_at is None else "failed"
            _log.warning("callback not taken", extra={"attempt": n_attempts, "reason": type(failed).__name__})
        self._metrics.callbacks.labels(outcome).inc()
        await self._reviews.told(review.review_id, again_at=again_at, was_taken=outcome == "taken")


def body_of(review: Review, reporters: list[str]) -> bytes:
    """What is sent: ids and codes, never a word of the note or of the reviewer."""
    judgement = review.judgement
    if judgement is None or review.decided_at is None:
        raise RuntimeError("nothing was decided")
    said = {
        "review_id": review.review_id,
        "note_id": review.note_id,
        "revision": review.revision,
        "origin": review.origin,
        "author_id": review.author_id,
        "reporter_ids": reporters,
        "outcome": judgement.outcome,
        "decision": judgement.verdict,
        "reason": judgement.reason,
        "decided_at": to_datetime(review.decided_at).isoformat(),
    }
    return json.dumps(said).encode()


def send(receiver: Receiver, body: bytes, *, at_s: int) -> None:
    """Send a signed body; OSError or HTTPException where it was not taken with a status of 2xx."""
    url = receiver.url
    host, port = url.hostname or "", url.port or 443
    address = receiver.resolve(host, port)
    headers = {
        "Content-Type": "application/json",
        "X-Mingjian-Timestamp": str(at_s),
        "X-Mingjian-Signature": f"v1={signature(receiver.secret, at_s, body)}",
    }
    with closing(_Pinned(address, host, port, receiver.context)) as connection, _deadline(connection.abort):
        connection.request("POST", f"{url.path or '/'}{'?' + url.query if url.query else ''}", body, headers)
        status = connection.getresponse().status
    if not 200 <= status < 300:
        raise http.client.HTTPException(f"status {status}")


@contextmanager
def _deadline(abort: Callable[[], None]) -> Iterator[None]:
    """Abort what takes longer than a callback may."""
    timer = threading.Timer(_DEADLINE_S, abort)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def signature(secret: bytes, at_s: int, body: bytes) -> str:
    """HMAC-SHA256 of the timestamp, a dot and the body, in hexadecimal."""
    return hmac.new(secret, f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()


def public_address(host: str, port: int) -> str:
    """An address of a host; OSError where one of them is not public."""
    found = [str(place[4][0]) for place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not all(ipaddress.ip_address(address).is_global for address in found):
        raise OSError("the receiver's address is not public")
    return found[0]


class _Pinned(http.client.HTTPSConnection):
    """A connection to an address that was looked at, to a host whose name is what the certificate must say."""

    def __init__(self, address: str, host: str, port: int, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=_TIMEOUT_S, context=context)
        self._address = address
        self._trusted = context

    def connect(self) -> None:
        """See ``HTTPSConnection``."""
        self.sock = socket.create_connection((self._address, self.port), _TIMEOUT_S)
        self.sock = self._trusted.wrap_socket(self.sock, server_hostname=self.host)

    def abort(self) -> None:
        """End what another thread waits for on this connection, which fails there."""
        if self.sock:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
