"""JSON bodies, read so that no two readers can understand them differently."""

import json
from typing import Any, Final

from fastapi import Request


def load_json(body: bytes) -> Any:
    """What the JSON says; ValueError for what is no UTF-8 or JSON, or names a property twice in one object."""
    return _DECODER.decode(body.decode())


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise json.JSONDecodeError("a property is named twice", "", 0)
    return made


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object)
"""Made once: ``json.loads`` makes one for each call that it is given a hook in."""


class JsonRequest(Request):
    """A request whose body is read by ``load_json``."""

    async def json(self) -> Any:
        """See ``load_json``."""
        return load_json(await self.body())
