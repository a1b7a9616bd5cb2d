"""Ids: one grammar wherever one stands, so that what a table or a body may hold, a path can name.

1 to 128 characters of any script, compared character by character: no control characters, no white space at either
end, and not ``.`` or ``..``, which every client takes out of a path.
"""

import re
from typing import Final

MAX_CHARS: Final = 128

_CONTROL: Final = "\\x00-\\x1f\\x7f-\\x9f\u2028\u2029"
_SPACE: Final = " \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"

PATTERN: Final = f"^[^{_CONTROL}{_SPACE}](?:[^{_CONTROL}]*[^{_CONTROL}{_SPACE}])?$"
"""For every dialect of regular expressions that reads it: Python's, Rust's, RE2's and ECMAScript's."""

PATH_STEPS: Final = (".", "..")
"""What the pattern lets through and is no id: a path would be changed by them."""


def is_id(text: str) -> bool:
    """Whether a text is an id."""
    return len(text) <= MAX_CHARS and _ID.fullmatch(text) is not None and text not in PATH_STEPS


_ID: Final = re.compile(PATTERN)
