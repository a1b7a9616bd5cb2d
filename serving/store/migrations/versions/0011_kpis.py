"""KPIs as they were rolled up, and the tier and stage of each user then."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "kpi_days",
        sa.Column("segment", sa.Text(), primary_key=True),
        sa.Column("day", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("sums", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "kpi_cohorts",
        sa.Column("week", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("n_active", sa.Text(), nullable=False),
    )
    op.create_table(
        "kpi_counts",
        sa.Column("day", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("counts", sa.Text(), nullable=False),
    )
    op.create_table(
        "user_segments",
        sa.Column("user_id", sa.Text(), primary_key=True),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("tier_before", sa.Text()),
        sa.Column("stage_before", sa.Text()),
    )
    op.create_index("ix_user_segments_tier", "user_segments", ["tier", "user_id"])
    op.create_index("ix_user_segments_stage", "user_segments", ["stage", "user_id"])
    op.execute(sa.text("INSERT INTO watermarks (name, seq) VALUES ('kpis', 0)"))
    op.execute(sa.text("INSERT INTO watermarks (name, seq) VALUES ('kpis_begun', 0)"))
