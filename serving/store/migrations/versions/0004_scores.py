"""The latest score of every user at every horizon, in the order of their risk, and the runs that gave them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "score_runs",
        sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("as_of", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("thresholds", sa.Text(), nullable=False),
    )
    op.create_index("ix_score_runs_as_of", "score_runs", ["as_of", "digest", "version"], unique=True)
    op.create_table(
        "scores",
        sa.Column("user_id", sa.Text(), primary_key=True),
        sa.Column("horizon_days", sa.Integer(), primary_key=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("probability", sa.Float()),
        sa.Column("last_active_at", sa.BigInteger()),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("as_of", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    by_risk = ["horizon_days", "status", "probability", "user_id", "last_active_at", "changed_at"]
    op.create_index("ix_scores_risk", "scores", by_risk)
    op.execute(sa.text("INSERT INTO watermarks (name, seq) VALUES ('scores', 0)"))  # only to be locked
