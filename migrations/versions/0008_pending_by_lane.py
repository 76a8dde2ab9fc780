"""What waits in the outbox is found by lane and id, and by nothing else."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NAME = "pk_outbox_pending"


def upgrade() -> None:
    """Make lane and id the key."""
    _change_key("lane", "id")
    op.drop_index("ix_outbox_pending_lane", "outbox_pending")


def downgrade() -> None:
    """Make the id the key again."""
    op.create_index("ix_outbox_pending_lane", "outbox_pending", ["lane", "id"])
    _change_key("id")


def _change_key(*columns: str) -> None:
    if op.get_context().dialect.name == "postgresql":
        op.drop_constraint(NAME, "outbox_pending")
        op.create_primary_key(NAME, "outbox_pending", list(columns))
        return
    with op.batch_alter_table("outbox_pending", table_args=[sa.PrimaryKeyConstraint(*columns, name=NAME)]) as batch:
        batch.drop_constraint(NAME, type_="primary")
