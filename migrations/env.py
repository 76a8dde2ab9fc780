"""What alembic runs: the migrations, on the connection that `chfw_sr.storage.migrations` hands over.

With alembic's own command line (`alembic -x url=sqlite+aiosqlite:///FILE …`, for developers) it opens the store itself.
"""

import asyncio

from alembic import context
from sqlalchemy import Connection

from chfw_sr.storage.store import create_store
from chfw_sr.storage.tables import metadata


def migrate(connection: Connection) -> None:
    """Run the migrations in the connection's transaction."""
    context.configure(connection=connection, target_metadata=metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


async def migrate_url(url: str) -> None:
    """Open a database, migrate it and close it."""
    store = create_store(url)
    try:
        async with store.database.write() as connection:
            await connection.run_sync(migrate)
    finally:
        await store.close()


handed_over = context.config.attributes.get("connection")
if handed_over is not None:
    migrate(handed_over)
else:
    asyncio.run(migrate_url(context.get_x_argument(as_dictionary=True)["url"]))
