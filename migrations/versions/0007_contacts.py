"""How alerts reach a User: by its queue, by e-mail, or both."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Every User goes on reading its queue."""
    op.add_column("users", sa.Column("email", sa.Text()))
    op.add_column("users", sa.Column("channels", sa.Text(), nullable=False, server_default="amqp"))


def downgrade() -> None:
    """Take the addresses away; messages that wait to be sent to them wait for ever."""
    with op.batch_alter_table("users") as batch:
        batch.drop_column("channels")
        batch.drop_column("email")
