"""The indexes of responsible Users: without the manufacturer, and gas only where another supplies electricity."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

PARTIES = ("import_supplier", "gas_supplier", "electricity_distributor", "gas_transporter")


def upgrade() -> None:
    """Make them anew; whoever looks at hubs waits for it."""
    _drop()
    for party in PARTIES:
        apart = party == "gas_supplier"
        op.create_index(
            f"ix_hubs_{party}",
            "hubs",
            [party, "model", "region", "firmware_version"],
            sqlite_where=sa.text("gas_supplier IS NOT import_supplier") if apart else None,
            postgresql_where=sa.text("gas_supplier IS DISTINCT FROM import_supplier") if apart else None,
        )


def downgrade() -> None:
    """Make them anew, with the manufacturer and every hub."""
    _drop()
    for party in PARTIES:
        op.create_index(f"ix_hubs_{party}", "hubs", [party, "manufacturer", "model", "region", "firmware_version"])


def _drop() -> None:
    for party in PARTIES:
        op.drop_index(f"ix_hubs_{party}", "hubs")
