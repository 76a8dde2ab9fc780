"""Replay and scenarios: the whole service on an in-process bus, fed by hand."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from chfw_sr.broker.memory import InProcessBus
from chfw_sr.campaign.model import Hub
from chfw_sr.service.ports import Store
from chfw_sr.service.registration import InvalidFile, read_inventory, read_users
from chfw_sr.service.replay import ManualClock, Recorder, Replay, StepResult
from chfw_sr.service.scenario import Scenario
from chfw_sr.settings import Settings
from chfw_sr.wire import Signer

from .keys import load_published_signer, load_signer
from .parts import SystemClock, build_clockwork, build_processor, build_relay


@asynccontextmanager
async def open_replay(
    settings: Settings, store: Store, out: Path, clock: ManualClock | None = None, signer: Signer | None = None
) -> AsyncIterator[Replay]:
    """Wire the whole service on an in-process bus, for files that are fed in one by one.

    Args:
        settings: as for the running service.
        store: an open store.
        out: the folder that gets every emitted message; must be empty or absent.
        clock: a clock to be run; the machine's clock if None.
        signer: the DCC's key; the one of the settings if None.
    """
    bus = InProcessBus(delivery_limit=settings.delivery_limit)
    for record in await store.register.users():
        bus.declare_user(record.user.eui)
    consumer = bus.consumer()
    recorder = Recorder(bus.publisher(), out)
    signer, time_source = signer or load_signer(settings), clock or SystemClock()
    try:
        yield Replay(
            store=store,
            sender=bus,
            consumer=consumer,
            processor=build_processor(settings, store, signer, time_source),
            relay=build_relay(settings, store, recorder, time_source),
            clockwork=build_clockwork(settings, store, signer, time_source),
            recorder=recorder,
            clock=clock,
        )
    finally:
        await consumer.close()


def scenario_settings(settings: Settings, scenario: Scenario, folder: Path, database_url: str) -> Settings:
    """Give the settings under which a scenario plays: its own DCC, key and database."""
    return settings.model_copy(
        update={
            "database_url": SecretStr(database_url),
            "dcc_eui": scenario.dcc,
            "signing_key": folder / scenario.signing_key,
            "signing_certificate": folder / scenario.signing_certificate,
        }
    )


async def play_scenario(
    settings: Settings, store: Store, scenario: Scenario, folder: Path, out: Path
) -> AsyncIterator[StepResult]:
    """Register a scenario's Users and hubs, then play it.

    Args:
        settings: from `scenario_settings`.
        store: an open store, best an empty one.
        scenario: what to play.
        folder: which its files are relative to.
        out: the folder that gets every emitted message.

    Yields:
        What came of each step.

    Raises:
        InvalidFile: if the Users or the hubs cannot be read.
    """
    await store.register.save_users(read_users(folder / scenario.users), scenario.begins)
    if scenario.inventory is not None:
        await store.register.import_hubs(_chunks(folder / scenario.inventory), scenario.begins)
    signer = load_published_signer(folder / scenario.signing_key, folder / scenario.signing_certificate)
    async with open_replay(settings, store, out, ManualClock(scenario.begins), signer) as replay:
        async for result in replay.scenario(scenario, folder):
            yield result


async def _chunks(path: Path) -> AsyncIterator[Sequence[Hub]]:
    with path.open(encoding="utf-8", newline="") as lines:
        for chunk in read_inventory(lines, str(path)):
            if chunk.problems:
                raise InvalidFile(str(path), chunk.problems)
            yield chunk.hubs
