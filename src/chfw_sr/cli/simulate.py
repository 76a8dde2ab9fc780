"""`chfw-sr simulate`: a nation of Suppliers and hubs, in this process or against a real service."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from chfw_sr import bootstrap
from chfw_sr.campaign.model import Hub
from chfw_sr.messages import CampaignID, instant_text
from chfw_sr.service.registration import read_users
from chfw_sr.service.replay import ManualClock
from chfw_sr.settings import Settings
from chfw_sr.simulation import (
    EmbeddedSite,
    Nation,
    Prepared,
    Simulation,
    Size,
    Tally,
    Timetable,
    open_service,
    play,
    prepare,
    read_prepared,
)
from chfw_sr.simulation.folder import DCC_CERTIFICATE, DCC_KEY, USERS_FILE

from .app import CommandError, ExitCode, command, command_group, settings_of
from .output import note, print_table

simulate_app = command_group("simulate", "Play a whole campaign with simulated Suppliers, CSPs and hubs.")

DATABASE_FILE = "simulation.sqlite3"
LENGTH = timedelta(days=42)
"""How long a campaign takes in simulated time."""

FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the nation.")]
CampaignOption = Annotated[str, typer.Option("--campaign", metavar="ID", help="CampaignID.")]


@command(simulate_app, "prepare")
def prepare_nation(
    context: typer.Context,
    folder: FolderArgument,
    hubs: Annotated[int, typer.Option("--hubs", metavar="N", min=1, help="Hubs.")] = 10_000,
    suppliers: Annotated[int, typer.Option("--suppliers", metavar="N", min=1, help="Suppliers.")] = 12,
    regions: Annotated[int, typer.Option("--regions", metavar="N", min=1, max=3, help="Regions.")] = 3,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="The same seed makes the same nation.")] = 1,
) -> None:
    """Make a nation: users.toml with keys and certificates, inventory.csv, and a key for the DCC.

    The same seed makes the same nation, which then behaves the same; only its keys are new.

    Example:
      chfw-sr simulate prepare nation --hubs 100000 --suppliers 20
    """
    try:
        nation = Nation(seed, Size(hubs, suppliers, regions))
    except ValueError as error:
        raise CommandError(str(error), ExitCode.USAGE) from error
    if folder.exists() and any(folder.iterdir()):
        raise CommandError(f"{folder} is not empty: name a new folder", ExitCode.USAGE)
    prepare(folder, nation, settings_of(context).dcc_eui, datetime.now(UTC), lambda _: None)
    note(f"{len(nation.users)} Users and {hubs} hubs are in {folder}; next: chfw-sr simulate embedded {folder}")


@command(simulate_app, "embedded")
def embedded(
    context: typer.Context,
    folder: FolderArgument,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", metavar="N", min=0.1, help="Take so long, in real time."),
    ] = None,
    campaign: CampaignOption = "SIMULATED-1",
) -> None:
    """Play a campaign with the whole service in this process, on a database in the folder.

    Six weeks of simulated time take as long as the work does. With --minutes the campaign happens now, in so many
    minutes, and can be watched: chfw-sr --database sqlite+aiosqlite:///DIR/simulation.sqlite3 monitor

    Example:
      chfw-sr simulate embedded nation
      chfw-sr simulate embedded nation --minutes 3
    """
    settings = settings_of(context)
    if context.obj.database is None:
        url = SecretStr(f"sqlite+aiosqlite:///{folder / DATABASE_FILE}")
        settings = settings.model_copy(update={"database_url": url})
    keys = {"signing_key": folder / DCC_KEY, "signing_certificate": folder / DCC_CERTIFICATE, "signing_key_pem": None}
    settings = settings.model_copy(update=keys)
    _print(asyncio.run(_embedded(settings, folder, _read(folder), CampaignID(campaign), minutes)))


async def _embedded(
    settings: Settings, folder: Path, prepared: Prepared, campaign_id: CampaignID, minutes: float | None
) -> Tally:
    await bootstrap.migrate(settings)
    async with bootstrap.open_store(settings) as store:
        now = datetime.now(UTC)
        await store.register.save_users(read_users(folder / USERS_FILE), now)
        await store.register.import_hubs(_chunks(prepared.nation), now)
        if await store.queries.campaign(campaign_id) is not None:
            raise CommandError(f"there is a campaign {campaign_id} in the database: give another --campaign")
        timetable = _timetable(minutes)
        clock = bootstrap.SystemClock() if minutes else ManualClock(timetable.begins)
        site = EmbeddedSite(settings, store, prepared.signers, clock)
        note(f"{campaign_id} begins {instant_text(timetable.begins)} and is to end {instant_text(timetable.after(1))}")
        await play(Simulation(prepared.nation, campaign_id, timetable), site)
        return site.tally


async def _chunks(nation: Nation) -> AsyncIterator[Sequence[Hub]]:
    for chunk in nation.hubs():
        yield chunk


@command(simulate_app, "service")
def service(
    context: typer.Context,
    folder: FolderArgument,
    minutes: Annotated[float, typer.Option("--minutes", metavar="N", min=0.1, help="Let it take so long.")] = 10.0,
    campaign: CampaignOption = "SIMULATED-1",
) -> None:
    """Play a campaign against a running service, over RabbitMQ (amqp_url), in so many minutes.

    The service must know the nation: users import DIR/users.toml, inventory import DIR/inventory.csv. This takes what
    is in the queues of the nation's Users, so none of them may be anybody else's.

    Example:
      chfw-sr users import nation/users.toml && chfw-sr inventory import nation/inventory.csv
      chfw-sr simulate service nation --minutes 10
    """
    settings, prepared = settings_of(context), _read(folder)

    async def run() -> Tally:
        async with open_service(settings, prepared.signers) as site:
            await play(Simulation(prepared.nation, CampaignID(campaign), _timetable(minutes)), site)
            return site.tally

    _print(asyncio.run(run()))


def _read(folder: Path) -> Prepared:
    try:
        return read_prepared(folder)
    except (OSError, ValueError) as error:
        raise CommandError(f"{error}; make a nation with: chfw-sr simulate prepare {folder}", ExitCode.USAGE) from error


def _timetable(minutes: float | None) -> Timetable:
    now = datetime.now(UTC).replace(microsecond=0)
    if minutes:
        return Timetable(now + timedelta(seconds=1), timedelta(minutes=minutes))
    return Timetable(now.replace(minute=0, second=0), LENGTH)


def _print(tally: Tally) -> None:
    rows = [(srv, code, number) for (srv, code), number in sorted(tally.codes.items())]
    print_table(("SRV", "code", "requests"), rows, title="Requests")
    print_table(("code", "alerts"), sorted(tally.alerts.items()), title="Alerts")
