"""What a recommender is told of notes."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the table, with a row for each note that is stored."""
    op.create_table(
        "catalogue",
        sa.Column("note_no", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("change_no", sa.BigInteger(), nullable=False),
        sa.Column("note_hash", sa.Text()),
        sa.Column("read_by", sa.Text()),
        sa.Column("vector", sa.LargeBinary()),
        sa.Column("quality", sa.Float()),
        sa.Column("withheld", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_catalogue_change_no", "catalogue", ["change_no"], unique=True)
    op.create_index("ix_catalogue_note_hash", "catalogue", ["note_hash"])
    op.create_index("ix_catalogue_read_by", "catalogue", ["read_by"])
    op.execute("INSERT INTO catalogue (note_no, change_no, withheld) SELECT note_no, note_no, false FROM notes")
    op.execute("INSERT INTO watermarks (name, seq) SELECT 'catalogue', coalesce(max(note_no), 0) FROM notes")
