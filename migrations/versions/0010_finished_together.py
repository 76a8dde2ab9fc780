"""Messages that were finished together are one row, which has their ids."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

INSTANT = sa.Text().with_variant(TIMESTAMP(timezone=True), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NUMBERS = sa.JSON().with_variant(ARRAY(sa.BigInteger, dimensions=1), "postgresql")


def upgrade() -> None:
    """Put together what has the same status, attempts and time: nothing is lost, and nothing changes for anybody."""
    is_postgresql = op.get_context().dialect.name == "postgresql"
    _make(
        "outbox_finished_together",
        sa.Column("first_id", SERIAL, nullable=False, autoincrement=False),
        sa.Column("ids", NUMBERS, nullable=False),
        sa.PrimaryKeyConstraint("first_id", name="pk_outbox_finished_together"),
    )
    gather = "array_agg" if is_postgresql else "json_group_array"
    op.execute(
        "INSERT INTO outbox_finished_together (first_id, ids, status, attempts, published_at)"  # noqa: S608 - our own names
        f" SELECT min(id), {gather}(id), status, attempts, published_at FROM outbox_finished"
        " GROUP BY status, attempts, published_at"
    )
    _replace("outbox_finished_together", "first_id")


def downgrade() -> None:
    """Give each message a row of its own again."""
    is_postgresql = op.get_context().dialect.name == "postgresql"
    _make(
        "outbox_finished_apart",
        sa.Column("id", SERIAL, nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_finished_apart"),
    )
    each = "unnest(ids) AS each(value)" if is_postgresql else "json_each(ids) AS each"
    op.execute(
        "INSERT INTO outbox_finished_apart (id, status, attempts, published_at)"  # noqa: S608 - our own names
        f" SELECT each.value, status, attempts, published_at FROM outbox_finished, {each}"
    )
    _replace("outbox_finished_apart", "id")


def _make(name: str, *columns: sa.schema.SchemaItem) -> None:
    op.create_table(
        name,
        *columns,
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("published_at", INSTANT, nullable=False),
    )


def _replace(name: str, key: str) -> None:
    op.drop_table("outbox_finished")
    op.rename_table(name, "outbox_finished")
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"ALTER INDEX pk_{name} RENAME TO pk_outbox_finished")
    else:
        _rename_key(f"pk_{name}", key)
    op.create_index("ix_outbox_finished_published_at", "outbox_finished", ["published_at"])


def _rename_key(name: str, key: str) -> None:
    with op.batch_alter_table(
        "outbox_finished", table_args=[sa.PrimaryKeyConstraint(key, name="pk_outbox_finished")]
    ) as batch:
        batch.drop_constraint(name, type_="primary")
