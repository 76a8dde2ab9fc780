"""PostgreSQL: messages of up to 8 KB are not compressed; hubs without a cell are not in the index of cells."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

WHOLE = ("inbox", "outbox")


def upgrade() -> None:
    """Rows that are there stay as they are: compressed ones are read as ever."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in WHOLE:
        op.execute(f"ALTER TABLE {table} SET (toast_tuple_target = 8160)")
    op.drop_index("ix_campaign_hubs_cell_id", "campaign_hubs")
    placed = sa.text("cell_id IS NOT NULL")
    op.create_index("ix_campaign_hubs_cell_id", "campaign_hubs", ["cell_id", "hub"], postgresql_where=placed)


def downgrade() -> None:
    """Compress again, and index every hub."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.drop_index("ix_campaign_hubs_cell_id", "campaign_hubs")
    op.create_index("ix_campaign_hubs_cell_id", "campaign_hubs", ["cell_id", "hub"])
    for table in WHOLE:
        op.execute(f"ALTER TABLE {table} RESET (toast_tuple_target)")
