"""The journal's last seq in a row of its own: a lock for those who append, and a count that never goes back."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Write down where the journal ends."""
    op.execute(sa.text("INSERT INTO watermarks (name, seq) SELECT 'journal', COALESCE(MAX(seq), 0) FROM facts"))
