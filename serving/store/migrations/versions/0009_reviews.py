"""Reviews with all that was done to them, and the people who review."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_WAITS, _OPEN, _CLAIMED, _REPORT = "state <> 'decided'", "state = 'open'", "state = 'claimed'", "event = 'report'"
_PARTS = [
    ("ix_facts_reports", "facts", ["seq"], _REPORT, False),
    ("ix_facts_reported_note_id", "facts", ["note_id"], _REPORT, False),
    ("ix_reviews_waiting", "reviews", ["note_id"], _WAITS, True),
    ("ix_reviews_open", "reviews", ["priority", "review_id"], _OPEN, False),
    ("ix_reviews_open_label", "reviews", ["label", "priority", "review_id"], _OPEN, False),
    ("ix_reviews_open_category", "reviews", ["category", "priority", "review_id"], _OPEN, False),
    ("ix_reviews_origin", "reviews", ["origin", "opened_at"], _WAITS, False),
    ("ix_reviews_tell_at", "reviews", ["tell_at"], "tell_at IS NOT NULL", False),
    ("ix_reviews_claimed", "reviews", ["lease_until"], _CLAIMED, False),
]


def upgrade() -> None:
    """Create the tables and the indexes; reports that were made before are looked at too."""
    _reviews()
    op.create_table(
        "review_changes",
        sa.Column(
            "change_no", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("review_id", "who", "what", "before", "after")),
        sa.Column("policy_version", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_review_changes_review_id", "review_changes", ["review_id", "change_no"])
    op.create_table(
        "reviewers",
        sa.Column("reviewer_id", sa.Text(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger()),
        sa.Column("n_failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.BigInteger()),
    )
    op.create_index("ix_reviewers_name", "reviewers", ["name"], unique=True)
    op.create_table(
        "reviewer_sessions",
        sa.Column("session_hash", sa.Text(), primary_key=True),
        sa.Column("reviewer_id", sa.Text(), nullable=False),
        sa.Column("csrf", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_reviewer_sessions_reviewer_id", "reviewer_sessions", ["reviewer_id"])
    op.execute(sa.text("INSERT INTO watermarks (name, seq) VALUES ('reports', 0)"))
    op.execute(sa.text("INSERT INTO watermarks (name, seq) VALUES ('reviews', 0)"))  # only to be locked


def _reviews() -> None:
    needed = (
        "note_id",
        "origin",
        "labels",
        "decision",
        "rule",
        "policy_version",
        "model_version",
        "model_digest",
        "state",
    )
    texts = ("author_id", "category", "tier", "label", "about", "appeal", "not_by", "holder", "lease", "judgement")
    op.create_table(
        "reviews",
        sa.Column("review_id", sa.Text(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in needed),
        *(sa.Column(name, sa.Text()) for name in (*texts, "outcome", "verdict")),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("quality", sa.Float()),
        sa.Column("sampled", sa.Boolean(), nullable=False),
        sa.Column("propensity", sa.Float(), nullable=False),
        sa.Column("n_reports", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Float(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("for_lead", sa.Boolean(), nullable=False),
        sa.Column("lease_until", sa.BigInteger()),
        sa.Column("decided_at", sa.BigInteger()),
        sa.Column("tell_at", sa.BigInteger()),
        sa.Column("n_told", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sqlite_with_rowid=False,
    )
    for name, table, columns, part, unique in _PARTS:
        where = sa.text(part)
        op.create_index(name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where)
    op.create_index("ix_reviews_note_id", "reviews", ["note_id", "decided_at"])
    op.create_index("ix_reviews_decided_at", "reviews", ["decided_at", "review_id"])
    op.create_index("ix_reviews_decided_by", "reviews", ["holder", "decided_at"])
    op.create_index("ix_reviews_about", "reviews", ["about"])
    op.create_index("ix_reviews_author_id", "reviews", ["author_id"])
