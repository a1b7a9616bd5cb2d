"""What stands for an id that must not be kept: BLAKE2b of it, keyed with a random salt of this deployment."""

import hashlib
from typing import Final

from sqlalchemy import Connection, select

from serving.store.tables import SALTS

_SALT: Final = select(SALTS.c.salt).where(SALTS.c.name == "tombstones")


def salted_hash(connection: Connection, name: str) -> str:
    """What stands for an id that must not be kept, in this deployment alone."""
    if "salt" not in connection.info:  # it never changes, and is read once a connection
        connection.info["salt"] = connection.execute(_SALT).scalar_one()
    return hashlib.blake2b(name.encode(), key=connection.info["salt"], digest_size=32).hexdigest()
