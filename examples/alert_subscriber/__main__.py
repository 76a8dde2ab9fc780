"""`python -m examples.alert_subscriber --help`."""

import argparse
import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

from chfw_sr.client import Client, Journal
from chfw_sr.client.opening import open_client
from chfw_sr.messages import parse_eui
from examples.options import add_access, read_access
from examples.rehearsal import rehearsal

from .subscriber import subscribe
from .table import HubTable

REHEARSED = ("00-DB-12-34-56-78-90-A1", "00-DB-12-34-56-78-90-A2", "00-DB-12-34-56-78-90-A3")


async def follow(counts: AsyncIterator[int], table: HubTable) -> None:
    """Print the states after each batch, for ever."""
    async for count in counts:
        if count:
            show(table)


def show(table: HubTable) -> None:
    """Print how many hubs are in each state."""
    print(", ".join(f"{count} {state}" for state, count in table.states().items()) or "no hubs yet", flush=True)


async def rehearse(table: HubTable) -> None:
    """Play a pilot of three hubs: two succeed, one fails."""
    hubs = list(map(parse_eui, REHEARSED))
    async with rehearsal(hubs) as stage:
        with Journal(":memory:") as journal:
            async with Client(**stage.service.for_user(stage.supplier), journal=journal) as client:
                await stage.publish(hubs)
                await stage.confirm()
                await stage.report(hubs[:2], hubs[2:])
                async with aclosing(subscribe(client, table)) as counts:
                    async for _ in counts:
                        if table.states() == {"Activated": 2, "Failed": 1}:
                            break
    for row in table.rows():
        print(*row)
    show(table)


async def main() -> None:
    """Run the subscriber."""
    parser = argparse.ArgumentParser(prog="python -m examples.alert_subscriber", description="Keeps a table of hubs.")
    add_access(parser)
    parser.add_argument("--table", type=Path, metavar="FILE", default=Path("hubs.sqlite3"), help="the table")
    parser.add_argument("--show", action="store_true", help="print the table, and end")
    found = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    table = HubTable(":memory:" if found.rehearse else found.table)
    try:
        if found.show:
            for row in table.rows():
                print(*row)
        elif found.rehearse:
            await rehearse(table)
        else:
            access, transport = read_access(parser, found, sends=False)
            async with open_client(access, transport) as client, aclosing(subscribe(client, table)) as counts:
                await follow(counts, table)
    finally:
        table.close()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error
