"""Actions that were assigned to users."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "assignment_batches",
        sa.Column("batch_id", sa.Text(), primary_key=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("assigned_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "assignments",
        sa.Column("assignment_id", sa.Text(), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("batch_id", "user_id", "action", "arm")),
        sa.Column("assigned_at", sa.BigInteger(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("probability", sa.Float()),
        sa.Column("policy_version", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("delivered_at", sa.BigInteger()),
    )
    op.create_index("ix_assignments_batch_id", "assignments", ["batch_id"])
    op.create_index("ix_assignments_user_id", "assignments", ["user_id", "action", "assigned_at"])
    op.create_index("ix_assignments_action", "assignments", ["action", "assigned_at"])
    op.create_index("ix_assignments_assigned_at", "assignments", ["assigned_at", "action", "arm"])
