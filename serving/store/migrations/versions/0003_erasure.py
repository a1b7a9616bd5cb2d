"""People's rights: tombstones, erasures under way, mentions found by index; keys that expire and have a limit."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create what erasing needs; the salt is this deployment's own."""
    salts = op.create_table(
        "salts",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
    )
    op.bulk_insert(salts, [{"name": "tombstones", "salt": secrets.token_bytes(32)}])
    op.create_table(
        "tombstones",
        sa.Column("user_hash", sa.Text(), primary_key=True),
        sa.Column("erased_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "pending_erasures",
        sa.Column("user_id", sa.Text(), primary_key=True),
    )
    mentions = sa.text("target_user_id IS NOT NULL")
    op.create_index(
        "ix_facts_target_user_id", "facts", ["target_user_id"], sqlite_where=mentions, postgresql_where=mentions
    )
    op.add_column("api_keys", sa.Column("expires_at", sa.BigInteger()))
    op.add_column("api_keys", sa.Column("rate_limit_per_s", sa.Integer()))
