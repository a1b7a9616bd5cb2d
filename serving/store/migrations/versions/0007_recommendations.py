"""What was recommended, and what a recommender reads of a user's facts."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_PARTS = {"ix_facts_hides": "event = 'hide'", "ix_facts_wishes": "type <> 'event'"}


def upgrade() -> None:
    """Create the table and the indexes."""
    op.create_table(
        "recommendations",
        sa.Column("recommendation_id", sa.Text(), primary_key=True),
        sa.Column("place", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("recommended_at", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.Text()),
        sa.Column("note_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("scene", sa.Text(), nullable=False),
        sa.Column("propensity", sa.Float(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_recommendations_recommended_at", "recommendations", ["recommended_at"])
    op.create_index("ix_recommendations_user_id", "recommendations", ["user_id"])
    op.create_index(
        "ix_facts_recommendation_id",
        "facts",
        ["recommendation_id"],
        sqlite_where=sa.text("recommendation_id IS NOT NULL"),
        postgresql_where=sa.text("recommendation_id IS NOT NULL"),
    )
    for name, part in _PARTS.items():
        op.create_index(name, "facts", ["user_id", "seq"], sqlite_where=sa.text(part), postgresql_where=sa.text(part))
