"""Throttles: refusals by quota of which a User is told together."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT = sa.Text().with_variant(TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "throttles",
        sa.Column("eui", KEY, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("withheld", sa.BigInteger(), nullable=False),
        sa.Column("request_id", KEY),
        sa.PrimaryKeyConstraint("eui", name="pk_throttles"),
    )


def downgrade() -> None:
    """Take it away again; nothing else depends on it."""
    op.drop_table("throttles")
