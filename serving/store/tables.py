"""The tables, as the migrations leave them."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text, text

METADATA: Final = MetaData()

_SEQ: Final = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in an INTEGER key

FACTS: Final = Table(
    "facts",
    METADATA,
    Column("seq", _SEQ, primary_key=True, autoincrement=True),
    Column("type", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("event_id", Text),
    Column("event", Text),
    Column("note_id", Text),
    Column("value", Float),
    Column("target_user_id", Text),
    Column("session_id", Text),
    Column("recommendation_id", Text),
    Column("body", Text),
    Index("ix_facts_event_id", "event_id", unique=True),
    Index("ix_facts_user_id_seq", "user_id", "seq"),
    Index(
        "ix_facts_target_user_id",
        "target_user_id",
        sqlite_where=text("target_user_id IS NOT NULL"),
        postgresql_where=text("target_user_id IS NOT NULL"),
    ),
    sqlite_autoincrement=True,  # a deleted row's seq is never used again
)

USER_STATES: Final = Table(
    "user_states",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column("encoded", LargeBinary, nullable=False),
    Column("applied_seq", BigInteger, nullable=False),
)

WATERMARKS: Final = Table(
    "watermarks",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
)

API_KEYS: Final = Table(
    "api_keys",
    METADATA,
    Column("key_hash", Text, primary_key=True),
    Column("label", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("expires_at", BigInteger),
    Column("rate_limit_per_s", Integer),
)

SALTS: Final = Table(
    "salts",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("salt", LargeBinary, nullable=False),
)

TOMBSTONES: Final = Table(
    "tombstones",
    METADATA,
    Column("user_hash", Text, primary_key=True),
    Column("erased_at", BigInteger, nullable=False),
)

PENDING_ERASURES: Final = Table(
    "pending_erasures",
    METADATA,
    Column("user_id", Text, primary_key=True),
)

NOTES: Final = Table(
    "notes",
    METADATA,
    Column("note_no", _SEQ, primary_key=True, autoincrement=True),
    Column("note_id", Text, nullable=False),
    Column("author_id", Text),
    Column("category", Text),
    Column("published_at", BigInteger),
    Column("content", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("stored_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index("ix_notes_note_id", "note_id", unique=True),
    Index("ix_notes_author_id", "author_id"),
    Index("ix_notes_updated_at", "updated_at"),
    sqlite_autoincrement=True,
)

NOTE_BANDS: Final = Table(
    "note_bands",
    METADATA,
    Column("band", BigInteger, primary_key=True, autoincrement=False),
    Column("note_no", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

NOTE_SCORES: Final = Table(
    "note_scores",
    METADATA,
    Column("note_id", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("author_id", Text),
    Column("category", Text),
    Column("known_since", BigInteger, nullable=False),
    Column("quality", Float, nullable=False),
    Column("decision", Text, nullable=False),
    Column("scored_at", BigInteger, nullable=False),
    Column("version", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Index("ix_note_scores_quality", "quality", "note_id"),
    Index("ix_note_scores_decision", "decision", "quality", "note_id"),
    Index("ix_note_scores_author_id", "author_id", "quality", "note_id"),
    Index("ix_note_scores_category", "category", "quality", "note_id"),
    Index("ix_note_scores_known_since", "known_since", "note_id"),
    sqlite_with_rowid=False,
)

NOTE_LABELS: Final = Table(
    "note_labels",
    METADATA,
    Column("note_id", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("probability", Float, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("flagged", Boolean, nullable=False),
    Index("ix_note_labels_probability", "label", "probability", "note_id"),
    sqlite_with_rowid=False,
)

SCORE_RUNS: Final = Table(
    "score_runs",
    METADATA,
    Column("run_id", _SEQ, primary_key=True, autoincrement=True),
    Column("as_of", BigInteger, nullable=False),
    Column("version", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("thresholds", Text, nullable=False),
    Index("ix_score_runs_as_of", "as_of", "digest", "version", unique=True),
)

SCORES: Final = Table(
    "scores",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column("horizon_days", Integer, primary_key=True),
    Column("status", Text, nullable=False),
    Column("probability", Float),
    Column("last_active_at", BigInteger),
    Column("changed_at", BigInteger, nullable=False),
    Column("as_of", BigInteger, nullable=False),
    Column("run_id", BigInteger, nullable=False),
    Index("ix_scores_risk", "horizon_days", "status", "probability", "user_id", "last_active_at", "changed_at"),
    sqlite_with_rowid=False,
)
