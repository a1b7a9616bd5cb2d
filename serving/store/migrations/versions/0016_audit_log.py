"""The audit log: who did what to what, when and from where. Nothing in it changes, and nothing young goes."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_KEPT_S = 180 * 24 * 3600
_SQLITE = [
    """CREATE TRIGGER audit_log_changes BEFORE UPDATE ON audit_log
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    f"""CREATE TRIGGER audit_log_goes BEFORE DELETE ON audit_log
    WHEN OLD.occurred_at > (CAST(strftime('%s', 'now') AS INTEGER) - {_KEPT_S}) * 1000000
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
]
_POSTGRESQL = [
    """CREATE FUNCTION refuse_audit_log_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$""",
    """CREATE TRIGGER audit_log_changes BEFORE UPDATE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_log_change()""",
    f"""CREATE TRIGGER audit_log_goes BEFORE DELETE ON audit_log
    FOR EACH ROW WHEN (OLD.occurred_at > (EXTRACT(EPOCH FROM now()) - {_KEPT_S}) * 1000000)
    EXECUTE FUNCTION refuse_audit_log_change()""",
]


def upgrade() -> None:
    """Create the table, and what holds it as it is."""
    op.create_table(
        "audit_log",
        sa.Column(
            "entry_no", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("actor_kind", "actor", "action")),
        *(sa.Column(name, sa.Text()) for name in ("target_kind", "target")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("outcome", "detail")),
        *(sa.Column(name, sa.Text()) for name in ("address", "request_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_log_occurred_at", "audit_log", ["occurred_at"])
    for name in ("action", "actor", "target"):
        op.create_index(f"ix_audit_log_{name}", "audit_log", [name, "entry_no"])
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)
