"""Which users a batch named is kept by a keyed hash: of a batch of one, anybody could tell whom by trying ids."""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

_SALT = sa.text("SELECT salt FROM salts WHERE name = 'tombstones'")
_DIGESTS = sa.text("SELECT batch_id, digest FROM assignment_batches")
_PUT = sa.text("UPDATE assignment_batches SET digest = :digest WHERE batch_id = :batch_id")


def upgrade() -> None:
    """Key the digests that are kept."""
    connection = op.get_bind()
    salt: bytes = connection.execute(_SALT).scalar_one()
    for batch_id, digest in connection.execute(_DIGESTS).all():
        keyed = hashlib.blake2b(digest.encode(), key=bytes(salt), digest_size=32).hexdigest()
        connection.execute(_PUT, {"batch_id": batch_id, "digest": keyed})
