"""The journal, the states with their watermark, and the API keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the first tables."""
    _create_facts()
    op.create_table(
        "user_states",
        sa.Column("user_id", sa.Text(), primary_key=True),
        sa.Column("encoded", sa.LargeBinary(), nullable=False),
        sa.Column("applied_seq", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "watermarks",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("key_hash", sa.Text(), primary_key=True),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger()),
    )


def _create_facts() -> None:
    op.create_table(
        "facts",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Text()),
        sa.Column("event", sa.Text()),
        sa.Column("note_id", sa.Text()),
        sa.Column("value", sa.Float()),
        sa.Column("target_user_id", sa.Text()),
        sa.Column("session_id", sa.Text()),
        sa.Column("recommendation_id", sa.Text()),
        sa.Column("body", sa.Text()),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_facts_event_id", "facts", ["event_id"], unique=True)
    op.create_index("ix_facts_user_id_seq", "facts", ["user_id", "seq"])
