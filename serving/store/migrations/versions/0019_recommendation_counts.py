"""Counts of what became of recommendations by quarter of an hour, and an index that says it of each."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

_COUNT = """
    INSERT INTO recommendation_counts (kind, quarter, name, n_recommended, n_exposed, n_clicked)
    SELECT '{kind}', recommended_at / 900000000, {kind}, count(*), sum({exposed}), sum({clicked})
    FROM recommendations GROUP BY recommended_at / 900000000, {kind}
"""
_IF_NAMED = """
    CASE WHEN EXISTS (
        SELECT 1 FROM facts WHERE facts.recommendation_id = recommendations.recommendation_id
        AND facts.note_id = recommendations.note_id AND facts.event NOT IN ({but})
    ) THEN 1 ELSE 0 END
"""


def upgrade() -> None:
    """Create the table and the index, and count what is there."""
    op.create_table(
        "recommendation_counts",
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("quarter", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("n_recommended", sa.BigInteger(), nullable=False),
        sa.Column("n_exposed", sa.BigInteger(), nullable=False),
        sa.Column("n_clicked", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    names_one = sa.text("recommendation_id IS NOT NULL")
    columns = ["recommendation_id", "note_id", "event"]
    op.create_index("ix_facts_outcomes", "facts", columns, sqlite_where=names_one, postgresql_where=names_one)
    op.drop_index("ix_facts_recommendation_id", "facts")
    exposed = _IF_NAMED.format(but="'hide', 'report'")
    clicked = _IF_NAMED.format(but="'impression', 'hide', 'report'")
    for kind in ("source", "version", "arm", "scene"):
        op.execute(sa.text(_COUNT.format(kind=kind, exposed=exposed, clicked=clicked)))
