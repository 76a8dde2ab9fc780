"""What a whole campaign costs, with Suppliers, CSPs and hubs that behave believably: all in this process, on SQLite.

python -m benchmarks.campaign --hubs 20000
"""

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

from chfw_sr import bootstrap
from chfw_sr.campaign.model import Hub
from chfw_sr.messages import CampaignID
from chfw_sr.service.registration import read_users
from chfw_sr.service.replay import ManualClock
from chfw_sr.settings import load_settings
from chfw_sr.simulation import EmbeddedSite, Nation, Simulation, Size, Tally, Timetable, play, prepare, read_prepared
from chfw_sr.simulation.folder import DCC_CERTIFICATE, DCC_KEY, USERS_FILE

BEGINS = datetime(2027, 1, 4, 9, tzinfo=UTC)


def main() -> None:
    """Play a campaign, and print its cost by request and alert."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hubs", type=int, default=20_000)
    parser.add_argument("--suppliers", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(measure(Path(name), Nation(given.seed, Size(given.hubs, given.suppliers))))


async def measure(folder: Path, nation: Nation) -> None:
    """Prepare the nation, then time the campaign alone."""
    settings = load_settings({"requests_per_minute": 0}, {})
    prepare(folder, nation, settings.dcc_eui, BEGINS, lambda _: None)
    settings = settings.model_copy(
        update={
            "database_url": SecretStr(f"sqlite+aiosqlite:///{folder / 'campaign.sqlite3'}"),
            "signing_key": folder / DCC_KEY,
            "signing_certificate": folder / DCC_CERTIFICATE,
        }
    )
    await bootstrap.migrate(settings)
    async with bootstrap.open_store(settings) as store:
        await store.register.save_users(read_users(folder / USERS_FILE), BEGINS)

        async def chunks() -> AsyncIterator[Sequence[Hub]]:
            for chunk in nation.hubs():
                yield chunk

        await store.register.import_hubs(chunks(), BEGINS)
        site = EmbeddedSite(settings, store, read_prepared(folder).signers, ManualClock(BEGINS))
        simulation = Simulation(nation, CampaignID("BENCH-1"), Timetable(BEGINS, timedelta(days=42)))
        began, used = time.perf_counter(), time.process_time()
        await play(simulation, site)
        tell(site.tally, time.perf_counter() - began, time.process_time() - used)


def tell(tally: Tally, wall: float, cpu: float) -> None:
    """Print what it took. The Suppliers' own work, signing requests and reading alerts, is in it."""
    requests, alerts = tally.requests.total(), tally.alerts.total()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{requests:,} requests, {alerts:,} alerts: {wall:.1f} s, {cpu:.1f} s of CPU, {peak} MiB at most")
    print(f"{cpu / alerts * 1e6:,.0f} µs of CPU an alert, all requests and both sides counted")


if __name__ == "__main__":
    main()
