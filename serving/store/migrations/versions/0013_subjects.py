"""Whom the identity provider knows a reviewer as."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the column."""
    op.add_column("reviewers", sa.Column("subject", sa.Text()))
