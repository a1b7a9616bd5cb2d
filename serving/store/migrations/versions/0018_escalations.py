"""What was said when a review was escalated, by whom, and which decisions were made together."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the columns and their indexes."""
    for name in ("escalated_by", "escalation", "batch"):
        op.add_column("reviews", sa.Column(name, sa.Text()))
    for name in ("escalated_by", "batch"):
        given = sa.text(f"{name} IS NOT NULL")
        op.create_index(f"ix_reviews_{name}", "reviews", [name], sqlite_where=given, postgresql_where=given)
