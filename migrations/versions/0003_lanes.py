"""Lanes: the messages of one recipient are published by one relay at a time, so that they stay in order."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT = sa.Text().with_variant(TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    """Add the lanes, and give every message that is there one."""
    op.create_table(
        "lanes",
        sa.Column("lane", KEY, nullable=False),
        sa.Column("token", KEY),
        sa.Column("leased_until", INSTANT),
        sa.Column("served_at", INSTANT),
        sa.PrimaryKeyConstraint("lane", name="pk_lanes"),
    )
    op.add_column("outbox", sa.Column("lane", KEY, nullable=False, server_default=""))
    op.execute("UPDATE outbox SET lane = CASE kind WHEN 'reply' THEN 'reply:0' ELSE kind || ':' || recipient END")
    op.execute("INSERT INTO lanes (lane) SELECT DISTINCT lane FROM outbox")
    unfinished = sa.text("published_at IS NULL")
    op.create_index("ix_outbox_lane", "outbox", ["lane", "id"], sqlite_where=unfinished, postgresql_where=unfinished)


def downgrade() -> None:
    """Take them away again; nothing else depends on them."""
    op.drop_index("ix_outbox_lane", "outbox")
    op.drop_column("outbox", "lane")
    op.drop_table("lanes")
