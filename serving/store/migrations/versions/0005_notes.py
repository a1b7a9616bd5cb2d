"""Notes, the index of their near-copies, and their latest scores."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the tables of notes."""
    _create_notes()
    op.create_table(
        "note_bands",
        sa.Column("band", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("note_no", sa.BigInteger(), primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    _create_scores()


def _create_notes() -> None:
    op.create_table(
        "notes",
        sa.Column(
            "note_no", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("note_id", sa.Text(), nullable=False),
        sa.Column("author_id", sa.Text()),
        sa.Column("category", sa.Text()),
        sa.Column("published_at", sa.BigInteger()),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notes_note_id", "notes", ["note_id"], unique=True)
    op.create_index("ix_notes_author_id", "notes", ["author_id"])
    op.create_index("ix_notes_updated_at", "notes", ["updated_at"])


def _create_scores() -> None:
    op.create_table(
        "note_scores",
        sa.Column("note_id", sa.Text(), primary_key=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("author_id", sa.Text()),
        sa.Column("category", sa.Text()),
        sa.Column("known_since", sa.BigInteger(), nullable=False),
        sa.Column("quality", sa.Float(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("scored_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_note_scores_quality", "note_scores", ["quality", "note_id"])
    for column in ("decision", "author_id", "category"):
        op.create_index(f"ix_note_scores_{column}", "note_scores", [column, "quality", "note_id"])
    op.create_index("ix_note_scores_known_since", "note_scores", ["known_since", "note_id"])
    op.create_table(
        "note_labels",
        sa.Column("note_id", sa.Text(), primary_key=True),
        sa.Column("label", sa.Text(), primary_key=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("threshold", sa.Float(), nullable=False),
        sa.Column("flagged", sa.Boolean(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_note_labels_probability", "note_labels", ["label", "probability", "note_id"])
