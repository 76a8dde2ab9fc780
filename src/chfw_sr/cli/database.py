"""`chfw-sr migrate`."""

import asyncio

import typer

from chfw_sr import bootstrap

from .app import app, command, settings_of
from .output import note


@command(app, "migrate")
def migrate(context: typer.Context) -> None:
    """Create the database's schema, or bring it up to date. Doing it twice does no harm.

    Example:
      chfw-sr migrate
      chfw-sr --database postgresql+asyncpg://chfw@db.example/chfw migrate
    """
    asyncio.run(bootstrap.migrate(settings_of(context)))
    note("the database is up to date")
