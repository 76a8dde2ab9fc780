"""`python -m examples.supplier_adapter --help`."""

import argparse
import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

from chfw_sr.client import Client, Journal
from chfw_sr.client.opening import open_client
from chfw_sr.messages import AlertCode
from examples.options import add_access, read_access
from examples.rehearsal import rehearsal

from .adapter import Event, Preferences, adapt
from .preferences import Preference, read_preferences

PREFERRED = Path(__file__).with_name("preferred.csv")
OUTCOMES = {AlertCode.N902, AlertCode.N903, AlertCode.N904}


async def follow(events: AsyncIterator[Event]) -> None:
    """Print what happens, for ever."""
    async for event in events:
        print(f"{event.alert.code}  {event.text}", flush=True)


async def rehearse(preferences: Preferences) -> None:
    """Play a pilot up to its confirmation."""
    hubs = [each.device_id for each in preferences()]
    async with rehearsal(hubs) as stage:
        with Journal(":memory:") as journal:
            async with Client(**stage.service.for_user(stage.supplier), journal=journal) as client:
                await stage.publish(hubs[-2:])
                async with aclosing(adapt(client, preferences)) as events:
                    async for event in events:
                        print(f"{event.alert.code}  {event.text}", flush=True)
                        if event.alert.code in OUTCOMES:
                            await stage.confirm()
                        if event.alert.code is AlertCode.N905:
                            return


async def main() -> None:
    """Run the adapter."""
    parser = argparse.ArgumentParser(prog="python -m examples.supplier_adapter", description="Answers N901 by itself.")
    add_access(parser)
    parser.add_argument(
        "--preferred", type=Path, metavar="CSV", default=PREFERRED, help="hubs that we would like, the dearest first"
    )
    found = parser.parse_args()
    logging.basicConfig(format="%(message)s")

    def preferences() -> list[Preference]:
        return read_preferences(found.preferred)

    if found.rehearse:
        await rehearse(preferences)
        return
    access, transport = read_access(parser, found, sends=True)
    async with open_client(access, transport) as client, aclosing(adapt(client, preferences)) as events:
        await follow(events)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error
