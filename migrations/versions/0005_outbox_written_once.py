"""A message of the outbox is written once; that it waits, and that it is finished, are rows of their own."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT = sa.Text().with_variant(TIMESTAMP(timezone=True), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
VACUUM_OFTEN = {"autovacuum_vacuum_scale_factor": 0, "autovacuum_vacuum_threshold": 1000}
GONE = ("status", "token", "leased_until", "attempts", "published_at", "lane")


def upgrade() -> None:
    """Move what is known of each message; what a relay has claimed at this moment is ready again."""
    op.create_table(
        "outbox_pending",
        sa.Column("id", SERIAL, nullable=False, autoincrement=False),
        sa.Column("lane", KEY, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_pending"),
        postgresql_with=VACUUM_OFTEN,
    )
    op.create_table(
        "outbox_finished",
        sa.Column("id", SERIAL, nullable=False, autoincrement=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("published_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_finished"),
    )
    op.execute(
        "INSERT INTO outbox_pending (id, lane, attempts)"
        " SELECT id, lane, attempts FROM outbox WHERE published_at IS NULL ORDER BY id"
    )
    op.execute(
        "INSERT INTO outbox_finished (id, status, attempts, published_at)"
        " SELECT id, status, attempts, published_at FROM outbox WHERE published_at IS NOT NULL ORDER BY id"
    )
    op.create_index("ix_outbox_pending_lane", "outbox_pending", ["lane", "id"])
    op.create_index("ix_outbox_finished_published_at", "outbox_finished", ["published_at"])
    for index in ("ix_outbox_lane", "ix_outbox_unfinished", "ix_outbox_published_at"):
        op.drop_index(index, "outbox")
    with op.batch_alter_table("outbox") as batch:
        batch.alter_column("headers", nullable=True)
        for name in GONE:
            batch.drop_column(name)
    _lanes()


def _lanes() -> None:
    op.drop_table("lanes")
    op.create_table(
        "lanes",
        sa.Column("lane", KEY, nullable=False),
        sa.Column("token", KEY),
        sa.Column("leased_until", INSTANT),
        sa.Column("claimed_to", SERIAL),
        sa.Column("claimed", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("lane", name="pk_lanes"),
        postgresql_with=VACUUM_OFTEN,
    )
    held = sa.text("token IS NOT NULL")
    op.create_index("ix_lanes_token", "lanes", ["token"], sqlite_where=held, postgresql_where=held)
    op.execute("INSERT INTO lanes (lane) SELECT DISTINCT lane FROM outbox_pending")


def downgrade() -> None:
    """Refuse: there is no going back from here but to a backup."""
    raise NotImplementedError("revision 0005 cannot be taken back; to go back, restore a backup")
