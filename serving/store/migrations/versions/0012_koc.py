"""Whether a note in the catalogue is by a key opinion consumer; those that were read before are read again."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the column."""
    op.add_column("catalogue", sa.Column("by_koc", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(sa.text("UPDATE catalogue SET read_by = NULL"))
