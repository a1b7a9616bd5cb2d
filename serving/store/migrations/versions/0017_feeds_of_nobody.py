"""Feeds that may not be personal are not kept: an event that names one would say whose it was."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Delete those that were kept without their user."""
    op.execute(sa.text("DELETE FROM recommendations WHERE user_id IS NULL"))
