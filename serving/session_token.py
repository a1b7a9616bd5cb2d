"""What a feed carries from page to page: when it began, what it has shown. The server keeps nothing of it."""

import base64
import binascii
import json
import zlib
from dataclasses import dataclass
from typing import Any, Final, Self

from serving.errors import FieldProblem, InvalidError

MAX_SHOWN: Final = 300
"""Notes that a session remembers: the last it showed."""

MAX_CHARS: Final = 65_536
_MAX_BYTES: Final = 131_072
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Session:
    """A feed's session: the instant its first page was asked for, how many notes it showed, and the last of them."""

    as_of: int
    n_shown: int = 0
    shown: tuple[str, ...] = ()

    def after(self, note_ids: tuple[str, ...]) -> "Session":
        """The session once it has shown some more."""
        return Session(self.as_of, self.n_shown + len(note_ids), (*self.shown, *note_ids)[-MAX_SHOWN:])

    def token(self) -> str:
        """The session as a client hands it back."""
        content = json.dumps([_VERSION, self.as_of, self.n_shown, self.shown], ensure_ascii=False).encode()
        return base64.urlsafe_b64encode(zlib.compress(content, 1)).decode()

    @classmethod
    def of(cls, token: str) -> Self:
        """The session of a token; InvalidError for anything else."""
        try:
            unpacking = zlib.decompressobj()
            unpacked = unpacking.decompress(base64.b64decode(token, b"-_", validate=True), _MAX_BYTES)
            match json.loads(unpacked):
                case [1, int(as_of), int(n_shown), list(shown)] if unpacking.eof and _is_sane(as_of, n_shown, shown):
                    return cls(as_of, n_shown, tuple(shown))
        except (binascii.Error, zlib.error, ValueError, RecursionError):
            pass
        detail = "not a token that an answer gave: leave it out to begin anew"
        raise InvalidError(
            "session_token can't be read", errors=[FieldProblem("/session_token", "invalid_session_token", detail)]
        )


def _is_sane(as_of: int, n_shown: int, shown: list[Any]) -> bool:
    return (
        0 <= as_of < 2**62
        and len(shown) <= MAX_SHOWN
        and len(shown) <= n_shown < 2**31
        and all(isinstance(one, str) for one in shown)
    )
