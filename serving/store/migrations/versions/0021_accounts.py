"""People sign in elsewhere by a subject that an admin gave or confirmed; sessions have an end; browsers are known."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

_BY_NAME = "UPDATE reviewers SET subject = NULL WHERE password_hash IS NOT NULL"
"""Who has a password and signed in elsewhere too may have been taken for another by a name."""
_SHARED = """UPDATE reviewers SET subject = NULL WHERE subject IN
    (SELECT subject FROM reviewers GROUP BY subject HAVING count(*) > 1)"""


def upgrade() -> None:
    """Forget what a name alone bound; locks of names are over: tries are counted by address too, in the server."""
    op.add_column("reviewers", sa.Column("asking", sa.Text()))
    for statement in (_BY_NAME, _SHARED):
        op.execute(sa.text(statement))
    is_bound = sa.text("subject IS NOT NULL")
    op.create_index(
        "ix_reviewers_subject", "reviewers", ["subject"], unique=True, sqlite_where=is_bound, postgresql_where=is_bound
    )
    for name in ("n_failures", "locked_until"):
        op.drop_column("reviewers", name)
    op.add_column("reviewer_sessions", sa.Column("ends_at", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute(sa.text("UPDATE reviewer_sessions SET ends_at = expires_at"))
    salts = sa.table("salts", sa.column("name", sa.Text()), sa.column("salt", sa.LargeBinary()))
    op.bulk_insert(salts, [{"name": "devices", "salt": secrets.token_bytes(32)}])
