"""The tables, as the migrations leave them."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
    text,
)

METADATA: Final = MetaData()

SEQ: Final = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in an INTEGER key

_IS_HIDE: Final = "event = 'hide'"
_IS_WISH: Final = "type <> 'event'"
IS_HIDE: Final = text(_IS_HIDE)
IS_WISH: Final = text(_IS_WISH)
IS_REPORT: Final = text("event = 'report'")
IS_UNREAD: Final = text("read_by IS NULL AND note_hash IS NULL")
"""As their indexes say it, letter by letter: so that a query is seen to be one of them."""

FACTS: Final = Table(
    "facts",
    METADATA,
    Column("seq", SEQ, primary_key=True, autoincrement=True),
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
    Index(
        "ix_facts_outcomes",
        "recommendation_id",
        "note_id",
        "event",
        sqlite_where=text("recommendation_id IS NOT NULL"),
        postgresql_where=text("recommendation_id IS NOT NULL"),
    ),
    Index(
        "ix_facts_note_id",
        "note_id",
        "user_id",
        sqlite_where=text("note_id IS NOT NULL"),
        postgresql_where=text("note_id IS NOT NULL"),
    ),
    Index("ix_facts_reports", "seq", sqlite_where=IS_REPORT, postgresql_where=IS_REPORT),
    Index("ix_facts_reported_note_id", "note_id", sqlite_where=IS_REPORT, postgresql_where=IS_REPORT),
    Index("ix_facts_hides", "user_id", "seq", sqlite_where=IS_HIDE, postgresql_where=IS_HIDE),
    Index("ix_facts_wishes", "user_id", "seq", sqlite_where=IS_WISH, postgresql_where=IS_WISH),
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
    Column("begun_at", BigInteger, nullable=False, server_default=text("0")),
    Column("n_attempts", Integer, nullable=False, server_default=text("0")),
    Column("try_at", BigInteger, nullable=False, server_default=text("0")),
    Index("ix_pending_erasures_try_at", "try_at"),
)

NOTES: Final = Table(
    "notes",
    METADATA,
    Column("note_no", SEQ, primary_key=True, autoincrement=True),
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

RECOMMENDATIONS: Final = Table(
    "recommendations",
    METADATA,
    Column("recommendation_id", Text, primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("recommended_at", BigInteger, nullable=False),
    Column("user_id", Text),
    Column("note_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("arm", Text, nullable=False),
    Column("scene", Text, nullable=False),
    Column("propensity", Float, nullable=False),
    Column("version", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Index("ix_recommendations_recommended_at", "recommended_at"),
    Index("ix_recommendations_user_id", "user_id"),
    sqlite_with_rowid=False,
)

RECOMMENDATION_COUNTS: Final = Table(
    "recommendation_counts",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("quarter", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("n_recommended", BigInteger, nullable=False),
    Column("n_exposed", BigInteger, nullable=False),
    Column("n_clicked", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

CATALOGUE: Final = Table(
    "catalogue",
    METADATA,
    Column("note_no", BigInteger, primary_key=True, autoincrement=False),
    Column("change_no", BigInteger, nullable=False),
    Column("note_hash", Text),
    Column("read_by", Text),
    Column("vector", LargeBinary),
    Column("quality", Float),
    Column("withheld", Boolean, nullable=False),
    Column("by_koc", Boolean, nullable=False, server_default=false()),
    Column("n_attempts", Integer, nullable=False, server_default=text("0")),
    Column("try_at", BigInteger, nullable=False, server_default=text("0")),
    Index("ix_catalogue_change_no", "change_no", unique=True),
    Index("ix_catalogue_note_hash", "note_hash"),
    Index("ix_catalogue_read_by", "read_by"),
    Index("ix_catalogue_unread", "try_at", "change_no", sqlite_where=IS_UNREAD, postgresql_where=IS_UNREAD),
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
    Column("run_id", SEQ, primary_key=True, autoincrement=True),
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

POLICIES: Final = Table(
    "policies",
    METADATA,
    Column("version", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("stored_at", BigInteger, nullable=False),
)

POLICY_CHANGES: Final = Table(
    "policy_changes",
    METADATA,
    Column("change_no", SEQ, primary_key=True, autoincrement=True),
    Column("changed_at", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("role", Text),
    Column("before", Text),
    Column("after", Text),
    Column("why", Text, nullable=False),
    Index("ix_policy_changes_role", "role", "change_no"),
    sqlite_autoincrement=True,
)
