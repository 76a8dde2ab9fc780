"""The indexes of responsible Users do without the manufacturer."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

PARTIES = ("import_supplier", "gas_supplier", "electricity_distributor", "gas_transporter")


def upgrade() -> None:
    """Make them anew; whoever looks at hubs waits for it."""
    _index("model", "region", "firmware_version")


def downgrade() -> None:
    """Make them anew, with the manufacturer."""
    _index("manufacturer", "model", "region", "firmware_version")


def _index(*columns: str) -> None:
    for party in PARTIES:
        op.drop_index(f"ix_hubs_{party}", "hubs")
        op.create_index(f"ix_hubs_{party}", "hubs", [party, *columns])
