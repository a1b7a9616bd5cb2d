"""How often what waits was tried, and when it is tried again: one that fails does not stand before the others."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_NUMBERS = {
    "catalogue": {"n_attempts": sa.Integer(), "try_at": sa.BigInteger()},
    "pending_erasures": {"begun_at": sa.BigInteger(), "n_attempts": sa.Integer(), "try_at": sa.BigInteger()},
}
_BEGUN = sa.text("UPDATE pending_erasures SET begun_at = (SELECT coalesce(max(erased_at), 0) FROM tombstones)")
_PARTS = [
    ("ix_catalogue_unread", "catalogue", ["try_at", "change_no"], "read_by IS NULL AND note_hash IS NULL"),
    ("ix_reviews_untold", "reviews", ["decided_at", "review_id"], "tell_at IS NULL AND n_told >= 8"),
]


def upgrade() -> None:
    """Add the columns and indexes; what waits is tried at once."""
    for table, columns in _NUMBERS.items():
        for column, kind in columns.items():
            op.add_column(table, sa.Column(column, kind, nullable=False, server_default=sa.text("0")))
    op.execute(_BEGUN)
    op.create_index("ix_pending_erasures_try_at", "pending_erasures", ["try_at"])
    for name, table, indexed, part in _PARTS:
        op.create_index(name, table, indexed, sqlite_where=sa.text(part), postgresql_where=sa.text(part))
