"""The tables of what people decide and what comes of it: reviews, reviewers, assigned actions, KPIs."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, Table, Text, text

from serving.store.tables import METADATA, SEQ

WAITS: Final = text("state <> 'decided'")
IS_OPEN: Final = text("state = 'open'")
IS_CLAIMED: Final = text("state = 'claimed'")
IS_TO_TELL: Final = text("tell_at IS NOT NULL")
IS_UNTOLD: Final = text("tell_at IS NULL AND n_told >= 8")
IS_ESCALATED: Final = text("escalated_by IS NOT NULL")
IS_OF_BATCH: Final = text("batch IS NOT NULL")
IS_BOUND: Final = text("subject IS NOT NULL")
"""As their indexes say it, too."""
REVIEWS: Final = Table(
    "reviews",
    METADATA,
    Column("review_id", Text, primary_key=True),
    Column("note_id", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("author_id", Text),
    Column("category", Text),
    Column("tier", Text),
    Column("origin", Text, nullable=False),
    Column("label", Text),
    Column("labels", Text, nullable=False),
    Column("quality", Float),
    Column("decision", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("model_digest", Text, nullable=False),
    Column("sampled", Boolean, nullable=False),
    Column("propensity", Float, nullable=False),
    Column("n_reports", Integer, nullable=False),
    Column("priority", Float, nullable=False),
    Column("state", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("about", Text),
    Column("appeal", Text),
    Column("not_by", Text),
    Column("for_lead", Boolean, nullable=False),
    Column("holder", Text),
    Column("lease", Text),
    Column("lease_until", BigInteger),
    Column("decided_at", BigInteger),
    Column("judgement", Text),
    Column("outcome", Text),
    Column("verdict", Text),
    Column("tell_at", BigInteger),
    Column("n_told", Integer, nullable=False, server_default=text("0")),
    Column("escalated_by", Text),
    Column("escalation", Text),
    Column("batch", Text),
    Index("ix_reviews_waiting", "note_id", unique=True, sqlite_where=WAITS, postgresql_where=WAITS),
    Index("ix_reviews_note_id", "note_id", "decided_at"),
    Index("ix_reviews_open", "priority", "review_id", sqlite_where=IS_OPEN, postgresql_where=IS_OPEN),
    Index("ix_reviews_open_label", "label", "priority", "review_id", sqlite_where=IS_OPEN, postgresql_where=IS_OPEN),
    Index(
        "ix_reviews_open_category", "category", "priority", "review_id", sqlite_where=IS_OPEN, postgresql_where=IS_OPEN
    ),
    Index("ix_reviews_origin", "origin", "opened_at", sqlite_where=WAITS, postgresql_where=WAITS),
    Index("ix_reviews_claimed", "lease_until", sqlite_where=IS_CLAIMED, postgresql_where=IS_CLAIMED),
    Index("ix_reviews_decided_at", "decided_at", "review_id"),
    Index("ix_reviews_decided_by", "holder", "decided_at"),
    Index("ix_reviews_about", "about"),
    Index("ix_reviews_tell_at", "tell_at", sqlite_where=IS_TO_TELL, postgresql_where=IS_TO_TELL),
    Index("ix_reviews_untold", "decided_at", "review_id", sqlite_where=IS_UNTOLD, postgresql_where=IS_UNTOLD),
    Index("ix_reviews_author_id", "author_id"),
    Index("ix_reviews_escalated_by", "escalated_by", sqlite_where=IS_ESCALATED, postgresql_where=IS_ESCALATED),
    Index("ix_reviews_batch", "batch", sqlite_where=IS_OF_BATCH, postgresql_where=IS_OF_BATCH),
    sqlite_with_rowid=False,
)

REVIEW_CHANGES: Final = Table(
    "review_changes",
    METADATA,
    Column("change_no", SEQ, primary_key=True, autoincrement=True),
    Column("changed_at", BigInteger, nullable=False),
    Column("review_id", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Index("ix_review_changes_review_id", "review_id", "change_no"),
    sqlite_autoincrement=True,
)

REVIEWERS: Final = Table(
    "reviewers",
    METADATA,
    Column("reviewer_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("password_hash", Text),
    Column("subject", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
    Column("asking", Text),
    Index("ix_reviewers_name", "name", unique=True),
    Index("ix_reviewers_subject", "subject", unique=True, sqlite_where=IS_BOUND, postgresql_where=IS_BOUND),
)

REVIEWER_SESSIONS: Final = Table(
    "reviewer_sessions",
    METADATA,
    Column("session_hash", Text, primary_key=True),
    Column("reviewer_id", Text, nullable=False),
    Column("csrf", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False, server_default=text("0")),
    Index("ix_reviewer_sessions_reviewer_id", "reviewer_id"),
)

ASSIGNMENT_BATCHES: Final = Table(
    "assignment_batches",
    METADATA,
    Column("batch_id", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("assigned_at", BigInteger, nullable=False),
)

ASSIGNMENTS: Final = Table(
    "assignments",
    METADATA,
    Column("assignment_id", Text, primary_key=True),
    Column("batch_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("arm", Text, nullable=False),
    Column("assigned_at", BigInteger, nullable=False),
    Column("tier", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("probability", Float),
    Column("policy_version", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("delivered_at", BigInteger),
    Index("ix_assignments_batch_id", "batch_id"),
    Index("ix_assignments_user_id", "user_id", "action", "assigned_at"),
    Index("ix_assignments_action", "action", "assigned_at"),
    Index("ix_assignments_assigned_at", "assigned_at", "action", "arm"),
)

KPI_DAYS: Final = Table(
    "kpi_days",
    METADATA,
    Column("segment", Text, primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("sums", Text, nullable=False),
    sqlite_with_rowid=False,
)

USER_SEGMENTS: Final = Table(
    "user_segments",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column("day", Integer, nullable=False),
    Column("tier", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("tier_before", Text),
    Column("stage_before", Text),
    Index("ix_user_segments_tier", "tier", "user_id"),
    Index("ix_user_segments_stage", "stage", "user_id"),
)

KPI_COHORTS: Final = Table(
    "kpi_cohorts",
    METADATA,
    Column("week", Integer, primary_key=True, autoincrement=False),
    Column("n_active", Text, nullable=False),
)

KPI_COUNTS: Final = Table(
    "kpi_counts",
    METADATA,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("counts", Text, nullable=False),
)

AUDIT_LOG: Final = Table(
    "audit_log",
    METADATA,
    Column("entry_no", SEQ, primary_key=True, autoincrement=True),
    Column("occurred_at", BigInteger, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target_kind", Text),
    Column("target", Text),
    Column("outcome", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("address", Text),
    Column("request_id", Text),
    Index("ix_audit_log_occurred_at", "occurred_at"),
    Index("ix_audit_log_action", "action", "entry_no"),
    Index("ix_audit_log_actor", "actor", "entry_no"),
    Index("ix_audit_log_target", "target", "entry_no"),
    sqlite_autoincrement=True,
)
