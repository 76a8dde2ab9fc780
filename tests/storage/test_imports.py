"""Imports of an inventory: an empty one is filled and then indexed, any other compared; and who waits for whom."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from sqlalchemy import Connection, insert, inspect, text

from chfw_sr.campaign.model import Hub
from chfw_sr.service.ports import HubColumns, ImportCount, Unavailable
from chfw_sr.storage.mapping import HUB_DATA, hub_data
from chfw_sr.storage.store import SqlStore
from chfw_sr.storage.tables import hubs
from tests.contract.makers import AT, HOUR, chunks, found, hub, hub_eui, kinds, stock

from .test_races import waiting

HUBS = [hub(number, gas_supplier=None if number % 3 else hub_eui(900)) for number in range(100)]
SHUFFLED = random.Random(1).sample(HUBS, len(HUBS))
LATER = [replace(each, firmware_version="later") for each in HUBS[::7]]


def columns(some: Sequence[Hub]) -> HubColumns:
    """Give hubs as a file does."""
    return HubColumns(list(zip(*map(hub_data, some), strict=True)))


async def indexes(store: SqlStore) -> dict[str | None, list[str | None]]:
    """Give the columns of each index of the inventory, the primary key's among them."""

    def look(connection: Connection) -> dict[str | None, list[str | None]]:
        known = inspect(connection)
        key = known.get_pk_constraint("hubs")
        return {key["name"]: [*key["constrained_columns"]]} | {
            each["name"]: each["column_names"] for each in known.get_indexes("hubs")
        }

    async with store.database.read() as connection:
        return await connection.run_sync(look)


@pytest.mark.parametrize("known", [0, 50])
@pytest.mark.parametrize("arrived", [HUBS, SHUFFLED], ids=["ascending", "shuffled"])
@pytest.mark.parametrize("twice", [False, True])
async def test_an_import_comes_to_the_same_however_it_arrives(
    store: SqlStore, known: int, arrived: list[Hub], twice: bool
) -> None:
    await stock(store, *HUBS[:known])
    before = await indexes(store)
    more = LATER if twice else []

    count = await store.register.import_hubs(
        chunks(columns(arrived[:40]), arrived[40:41], arrived[41:], more and columns(more)), AT + HOUR
    )

    changed = len([each for each in more if each.eui < HUBS[known].eui])
    assert count == ImportCount(added=len(HUBS) - known, changed=changed, unchanged=known - changed)
    latest = {each.eui: each for each in [*HUBS, *more]}
    assert await found(store, *range(100)) == list(latest.values())
    assert await indexes(store) == before
    assert len(before) == 6
    assert [await kinds(store, number) for number in (0, 1, 98)] == [["HubChanged"] * (changed > 0), [], []]


async def test_of_a_known_hub_that_comes_twice_only_the_later_counts(store: SqlStore) -> None:
    await stock(store, hub(1), hub(2))
    arrived = [hub(1, firmware_version="earlier"), hub(2), hub(1)]
    assert await store.register.import_hubs(chunks(arrived), AT) == ImportCount(unchanged=2)
    assert await kinds(store, 1) == []


async def test_who_does_not_own_the_inventory_fills_it_all_the_same(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def owns(*_anything: object) -> bool:
        return False

    monkeypatch.setattr(store.database.dialect, "owns", owns)
    before = await indexes(store)
    assert await store.register.import_hubs(chunks(SHUFFLED), AT) == ImportCount(added=len(HUBS))
    assert await found(store, *range(100)) == HUBS
    assert await indexes(store) == before


# -------------------------------------------------------------------------------------- who waits for whom, PostgreSQL

only_postgresql = [pytest.mark.postgresql, pytest.mark.parametrize("url", ["postgresql"], indirect=True)]


def on_postgresql(test):
    for mark in only_postgresql:
        test = mark(test)
    return test


def slowly(seen: list[Hub | None], reader: SqlStore) -> AsyncIterator[Sequence[Hub]]:
    """Give hubs, while somebody looks for one."""

    async def read() -> AsyncIterator[Sequence[Hub]]:
        yield columns(HUBS[:50])
        seen.append(await reader.queries.hub(hub_eui(0)))
        yield columns(HUBS[50:])

    return read()


@on_postgresql
async def test_nobody_waits_while_a_file_is_read_into_a_known_inventory(store: SqlStore, impatient: SqlStore) -> None:
    await stock(store, *HUBS[:1])
    seen: list[Hub | None] = []
    assert (await store.register.import_hubs(slowly(seen, impatient), AT)).added == len(HUBS) - 1
    assert len(seen) == 1
    assert seen[0] is not None


@on_postgresql
async def test_who_looks_at_a_hub_waits_for_a_first_import(store: SqlStore, impatient: SqlStore) -> None:
    with pytest.raises(Unavailable):
        await store.register.import_hubs(slowly([], impatient), AT)
    importing = asyncio.Event()
    look = asyncio.create_task(_look(store, importing))

    async def read() -> AsyncIterator[Sequence[Hub]]:
        yield HUBS[:50]
        importing.set()
        await waiting(store)
        yield HUBS[50:]

    assert await store.register.import_hubs(read(), AT) == ImportCount(added=len(HUBS))
    assert await look is None  # it sees what was there when it began


async def _look(store: SqlStore, importing: asyncio.Event) -> object:
    await importing.wait()
    return await store.queries.hub(hub_eui(99))


@on_postgresql
async def test_a_first_import_waits_for_who_reads(store: SqlStore, impatient: SqlStore) -> None:
    async with store.database.read() as connection:
        await connection.execute(text("SELECT FROM hubs"))
        importing = asyncio.create_task(store.register.import_hubs(chunks(HUBS), AT))
        await waiting(store)
        with pytest.raises(Unavailable):
            await impatient.register.import_hubs(chunks(HUBS), AT)
    assert await importing == ImportCount(added=len(HUBS))


@on_postgresql
async def test_what_another_puts_in_just_before_is_compared(store: SqlStore) -> None:
    other = hub(1, firmware_version="other")
    async with store.database.write() as connection:
        await connection.execute(insert(hubs).values(dict(zip(HUB_DATA, hub_data(other), strict=True))))
        importing = asyncio.create_task(store.register.import_hubs(chunks(HUBS), AT))
        await waiting(store)
    assert await importing == ImportCount(added=len(HUBS) - 1, changed=1)
    assert await found(store, 1) == HUBS[1:2]
    assert await kinds(store, 1) == ["HubChanged"]


@on_postgresql
async def test_a_known_inventory_is_read_while_another_is_compared(store: SqlStore, impatient: SqlStore) -> None:
    await stock(store, *HUBS)
    async with impatient.database.read() as connection:
        await connection.execute(text("SELECT FROM hubs"))
        assert await store.register.import_hubs(chunks(LATER, [hub(100)]), AT) == ImportCount(added=1, changed=15)


@on_postgresql
@pytest.mark.parametrize(("before", "after"), [("1MB", 256 * 1024), ("1GB", 1024 * 1024)])
async def test_memory_is_raised_for_one_transaction_and_never_lowered(store: SqlStore, before: str, after: int) -> None:
    setting = text("SELECT setting::int FROM pg_settings WHERE name = 'maintenance_work_mem'")
    async with store.database.write() as connection:
        known = await connection.scalar(setting)
        await connection.execute(text(f"SET LOCAL maintenance_work_mem = '{before}'"))
        await store.database.dialect.take_memory(connection)
        assert await connection.scalar(setting) == after
    async with store.database.write() as connection:
        assert await connection.scalar(setting) == known
