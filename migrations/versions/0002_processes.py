"""Processes: leases, the time at which the service was last up, and an index of what waits in quarantine."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT = sa.Text().with_variant(TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Add two small tables and an index over what was not replayed."""
    op.create_table(
        "leases",
        sa.Column("name", KEY, nullable=False),
        sa.Column("holder", KEY, nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("until", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "beats",
        sa.Column("name", KEY, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_beats"),
    )
    waiting = sa.text("replayed_at IS NULL")
    op.create_index("ix_quarantine_waiting", "quarantine", ["id"], sqlite_where=waiting, postgresql_where=waiting)


def downgrade() -> None:
    """Take them away again; nothing else depends on them."""
    op.drop_index("ix_quarantine_waiting", "quarantine")
    op.drop_table("beats")
    op.drop_table("leases")
