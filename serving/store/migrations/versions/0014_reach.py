"""An index of facts by the note they are about: whom a note reached."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Create the index."""
    is_on_note = sa.text("note_id IS NOT NULL")
    columns = ["note_id", "user_id"]
    op.create_index("ix_facts_note_id", "facts", columns, sqlite_where=is_on_note, postgresql_where=is_on_note)
