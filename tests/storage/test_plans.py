"""No statement on a request's path reads a whole table that grows: every one finds its rows by an index.

The statements are those that the store really sends, caught on their way and explained by the database itself.
"""

import itertools
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from itertools import pairwise
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.campaign.changes import (
    ActivationsRecorded,
    CampaignEvent,
    CampaignSaved,
    DefaultListSet,
    Lot,
    NominationsReplaced,
    ParticipationSaved,
    PilotAllotted,
    PreferenceEvent,
    RankRange,
    SafeLaunchAllotted,
)
from chfw_sr.campaign.facts import Needs
from chfw_sr.campaign.model import Hub, Participation
from chfw_sr.messages import Region, Stage
from chfw_sr.service.ports import OutboxStatus, Unavailable
from chfw_sr.storage.dialects import Ways
from chfw_sr.storage.fresh import Fresh
from chfw_sr.storage.outbox import SqlOutbox
from chfw_sr.storage.store import SqlStore, create_store
from chfw_sr.storage.tables import lanes, outbox_pending
from chfw_sr.storage.witnesses import Witnesses
from tests.contract.makers import (
    ALICE,
    AT,
    BOB,
    C1,
    CAUSE,
    HOUR,
    NEW,
    campaign,
    cid,
    claim,
    create,
    hub,
    hub_eui,
    message,
    numbers,
    record,
    result,
    stock,
    window,
)

GROWING = (
    "hubs",
    "campaigns",
    "campaign_hubs",
    "activations",
    "history",
    "inbox",
    "outbox",
    "outbox_pending",
    "outbox_finished",
    "lanes",
    "participations",
    "cells",
)

Statement = tuple[str, Any]
Caught = list[Statement]


@contextmanager
def catching(store: SqlStore) -> Iterator[Caught]:
    """Catch what is sent to the database, but for DDL and transaction control."""
    caught: Caught = []

    def catch(
        _connection: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool
    ) -> None:
        if statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            caught.append((statement, parameters[0] if many else parameters))

    engines = [engine.sync_engine for engine in store.database.engines]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", catch)
    try:
        yield caught
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", catch)


def scanned_by_sqlite(plan: list[str]) -> set[str]:
    """Name the tables that are read from end to end, or by leaps through an index that begins with something else.

    To go along an index until a limit is reached is none of it.
    """
    whole = {words[1] for line in plan if (words := line.split())[0] == "SCAN" and "USING" not in words}
    return whole | {line.split()[1] for line in plan if "ANY(" in line}


def scanned_by_postgresql(plan: list[str], leading: Mapping[str, str]) -> set[str]:
    """Name the tables that are read from end to end, or through an index of which the first column is not known.

    Args:
        plan: lines.
        leading: the first column of each index.
    """
    whole = {line.split("Seq Scan on ")[1].split()[0] for line in plan if "Seq Scan on " in line}
    for line, condition in pairwise([*plan, ""]):
        if "Index Cond:" in condition and (scan := INDEX_SCAN.search(line)) is not None:
            index = scan["index"]
            if not re.search(rf"\b{leading[index]}\b", condition):
                whole.add(scan["table"] or index)
    return whole


INDEX_SCAN = re.compile(r"Index(?: Only)? Scan (?:Backward )?(?:using|on) (?P<index>\w+)(?: on (?P<table>\w+))?")

LEADING = text(
    "SELECT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
    "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
    "WHERE c.relnamespace = 'public'::regnamespace"
)


async def first_columns(connection: AsyncConnection) -> dict[str, str]:
    return {row.relname: row.attname for row in await connection.execute(LEADING)}


async def explained(store: SqlStore, statement: str, parameters: Any) -> list[str]:
    """Give the plan of a statement, line by line."""
    explain = "EXPLAIN QUERY PLAN" if store.database.engine.dialect.name == "sqlite" else "EXPLAIN"
    async with store.database.read() as connection:
        return [row[-1] for row in await connection.exec_driver_sql(f"{explain} {statement}", parameters)]


async def scanned(store: SqlStore, statement: str, parameters: Any) -> set[str]:
    if store.database.engine.dialect.name == "sqlite":
        return scanned_by_sqlite(await explained(store, statement, parameters))
    async with store.database.read() as connection:
        # The tables of a test are so small that to read them whole is quickest; what there is no index for stays.
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        leading = await first_columns(connection)
        found = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        return scanned_by_postgresql([row[0] for row in found], leading)


async def assert_found_by_index(store: SqlStore, caught: Caught, but: set[str] | None = None) -> None:
    assert caught
    for statement, parameters in caught:
        if "remaining_hubs" in statement or "imported_hubs" in statement:
            continue  # temporary tables are gone by now; their plans are looked at where they are made
        whole = (await scanned(store, statement, parameters)) & set(GROWING) - (but or set())
        assert not whole, f"{whole} read from end to end by {statement}"


def stranger(number: int) -> Hub:
    """Make a hub among many, so that statistics say what they say of an inventory."""
    return hub(
        number,
        model=f"CH-{number % 7}",
        region=list(Region)[number % 3],
        import_supplier=hub_eui(5000 + number % 31),
        gas_supplier=hub_eui(5000 + number % 37),
        electricity_distributor=hub_eui(6000 + number % 13),
        gas_transporter=hub_eui(7000 + number % 11),
    )


@pytest.fixture
async def busy(store: SqlStore) -> SqlStore:
    """Give a store with a campaign under consultation, and with statistics."""
    await stock(store, *(hub(n, gas_supplier=BOB) for n in range(40)), *map(stranger, range(1000, 2000)))
    await create(store, *(campaign(cid(f"old-{n}"), stage=Stage.COMPLETE) for n in range(40)))
    await create(store, campaign(stage=Stage.PILOT_CONSULTATION, response_deadline=AT + HOUR))
    async with store.begin() as work:
        await work.apply([DefaultListSet(C1, {ALICE: numbers(range(20))})], CAUSE)
        await work.commit()
    async with store.database.write() as connection:
        await connection.execute(text("ANALYZE"))
    return store


REQUESTS: dict[str, Needs] = {
    "user": Needs(user=ALICE),
    "nomination": Needs(user=BOB, campaign=C1, hubs=numbers(range(15, 30)), responsible=True),
    "report": Needs(
        user=ALICE,
        hubs=numbers(range(5)),
        hub_campaigns=True,
        activations=tuple((eui, NEW, AT) for eui in numbers(range(5))),
    ),
    "pilot plan": Needs(user=ALICE, campaign=C1, responsible=True, own_lists=True),
    "safe launch": Needs(user=ALICE, campaign=C1, responsible=True, own_safe_launch=True),
    "status": Needs(user=ALICE, campaign=C1, responsible=True, cells=True),
    "not responsible": Needs(user=hub_eui(99), campaign=C1, responsible=True),
    "confirmation": Needs(campaign=C1, plan=True),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_facts_are_found_by_index(busy: SqlStore, name: str) -> None:
    async with busy.begin() as work:
        with catching(busy) as caught:
            await work.facts(REQUESTS[name])
    await assert_found_by_index(busy, caught)


@pytest.mark.parametrize("responsible", [True, False])
async def test_whether_a_user_is_responsible_is_told_by_its_own_indexes(busy: SqlStore, responsible: bool) -> None:
    """Else it would take the longer the more hubs of the model others have."""
    needs = Needs(user=BOB if responsible else hub_eui(99), campaign=C1, responsible=True)
    async with busy.begin() as work:
        with catching(busy) as caught:
            assert (await work.facts(needs)).responsible is responsible
    probes = [each for each in caught if "coalesce" in each[0]]
    assert len(probes) == 1
    for statement, parameters in probes:
        indexes = set(re.findall(r"\bix_hubs_\w+", "\n".join(await explained(busy, statement, parameters))))
        parties = ("import_supplier", "gas_supplier", "electricity_distributor", "gas_transporter")
        assert indexes == {f"ix_hubs_{party}" for party in parties}


async def test_what_proved_a_users_part_is_looked_at_first(busy: SqlStore) -> None:
    """Of the others, the same is asked whether the campaign exists or not, so that the time tells nothing."""
    asked = {}
    for user, campaign_id in ((BOB, C1), (hub_eui(99), C1), (hub_eui(99), cid("none"))):
        for _ in range(2):
            async with busy.begin() as work:
                with catching(busy) as caught:
                    await work.facts(Needs(user=user, campaign=campaign_id, responsible=True))
        await assert_found_by_index(busy, caught)
        asked[user, campaign_id] = [each for each in caught if re.search(r"\bhubs\b", each[0])]
    assert [sum(map(searches, some)) for some in asked.values()] == [0, 1, 1]
    of_one, of_none = ([statement for statement, _ in asked[hub_eui(99), each]] for each in (C1, cid("none")))
    assert of_one == of_none
    assert len(asked[BOB, C1]) == 1


def searches(caught: tuple[str, Any]) -> bool:
    """Tell whether a statement looks through the regions for a target, and not only at the hub that was one before."""
    statement, parameters = caught
    return "coalesce" in statement and any(region.value in str(parameters) for region in Region)


def test_witnesses_are_forgotten_from_the_oldest_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chfw_sr.storage.witnesses.MOST_WITNESSES", 2)
    witnesses = Witnesses()
    for number in (1, 2, 1, 3):
        witnesses.remember((C1, hub_eui(number)), hub_eui(10 + number))
    assert [witnesses.of((C1, hub_eui(number))) for number in (1, 2, 3)] == [hub_eui(11), None, hub_eui(13)]


CHANGES: dict[str, Any] = {
    "nominations": NominationsReplaced(C1, BOB, numbers(range(15, 30))),
    "participation": ParticipationSaved(Participation(C1, BOB), PreferenceEvent.PREFERENCES_UPDATED),
    "campaign": CampaignSaved(campaign(stage=Stage.PILOT), CampaignEvent.STAGE_CHANGED),
    "activations": ActivationsRecorded((result(1), result(2))),
    "allotment": PilotAllotted(C1, (Lot(ALICE, window(), numbers(range(20))),)),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_changes_find_their_rows_by_index(busy: SqlStore, name: str) -> None:
    async with busy.begin() as work:
        with catching(busy) as caught:
            await work.apply([CHANGES[name]], CAUSE)
            await work.tell()
    await assert_found_by_index(busy, caught)


async def test_inbox_and_outbox_are_found_by_index(busy: SqlStore) -> None:
    with catching(busy) as caught:
        async with busy.begin() as work:
            await work.claim([claim(1)])
            await work.finish([record(claim(1))])
            first = await work.reserve(2)
            await work.enqueue([message(first), message(first + 1)])
            await work.commit()
        async with busy.begin() as work:
            await work.claim([claim(1), claim(1, "other")])
        claimed = await busy.outbox.claim("token", 10, AT, 60)
        await busy.outbox.mark("token", claimed, OutboxStatus.PUBLISHED, AT)
        await busy.outbox.purge(AT + HOUR, 10)
        await busy.due_campaigns(AT, 10)
        await busy.next_due()
    await assert_found_by_index(busy, caught)


async def test_timelines_are_found_by_index(busy: SqlStore) -> None:
    with catching(busy) as caught:
        await busy.queries.hub(hub_eui(1))
        await busy.queries.campaign(C1)
        await busy.queries.campaign_history(C1, 10)
    await assert_found_by_index(busy, caught)


async def test_a_safe_launch_reads_what_was_counted_by_rank(busy: SqlStore) -> None:
    """Checked within the transaction, while the temporary table is there."""
    ranges = tuple(RankRange(window(n), 10 * n, 10 * n + 10) for n in range(1, 3))
    explain = "EXPLAIN QUERY PLAN " if busy.database.engine.dialect.name == "sqlite" else "EXPLAIN "
    async with busy.begin() as work:
        await work.facts(Needs(campaign=C1, remaining=True))
        connection = work._connection  # type: ignore[attr-defined]
        with catching(busy) as caught:
            await work.apply([SafeLaunchAllotted(C1, ranges)], CAUSE)
            await work.tell()
        leading = {"ix_remaining_hubs": "campaign_id"}
        if "QUERY" not in explain:
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
            leading |= await first_columns(connection)
        ranked = [each for each in caught if "remaining_hubs.rank" in each[0]]
        assert len(ranked) == 2 * len(ranges)
        for statement, parameters in ranked:
            found = await connection.exec_driver_sql(explain + statement, parameters)
            plan = [row[-1] for row in found]
            whole = scanned_by_sqlite(plan) if "QUERY" in explain else scanned_by_postgresql(plan, leading)
            assert not whole & {"remaining_hubs", *GROWING}, statement


@pytest.mark.parametrize("count", [10, 40])
async def test_the_number_of_statements_does_not_grow_with_the_list(busy: SqlStore, count: int) -> None:
    hubs = numbers(range(count))
    results = tuple(result(n) for n in range(count))
    async with busy.begin() as work:
        with catching(busy) as caught:
            await work.facts(Needs(user=ALICE, hubs=hubs, hub_campaigns=True))
            await work.apply([NominationsReplaced(C1, BOB, hubs), ActivationsRecorded(results)], CAUSE)
            await work.apply([PilotAllotted(C1, (Lot(ALICE, window(), hubs),))], CAUSE)
            await work.tell()
    assert len(caught) < 35


# ---------------------------------------------------------------------------------------------------- the relay's work


async def fill(store: SqlStore, recipients: range, each: int) -> list[int]:
    """Put messages into lanes that come after one another."""
    async with store.begin() as work:
        first = await work.reserve(len(recipients) * each)
        messages = [
            message(first + place * each + number, recipient=hub_eui(lane))
            for place, lane in enumerate(recipients)
            for number in range(each)
        ]
        await work.enqueue(messages)
        await work.commit()
    return [one.id for one in messages]


async def grow(store: SqlStore, size: int) -> None:
    """Lay history, idle lanes, and messages behind those that come next: 1,000 of each, and lanes, for each size."""
    await fill(store, range(1000, 1000 + 200 * size), 5)
    past = await store.outbox.claim("past", 100_000, AT, 60)
    assert await store.outbox.mark("past", past, OutboxStatus.PUBLISHED, AT) == len(past)
    await fill(store, range(3), 300 * size)
    await fill(store, range(2000, 2000 + 100 * size), 1)
    await store.database.sweep(outbox_pending, lanes)


async def effort(store: SqlStore, caught: Caught, ways: Ways) -> int:
    """Tell what statements cost: blocks that PostgreSQL looks at, instructions that SQLite takes."""
    if store.database.engine.dialect.name == "sqlite":
        steps = itertools.count()
        with closing(sqlite3.connect(store.database.engine.url.database or "")) as connection:
            connection.execute("BEGIN")  # and never commit: the driver begins by itself only where it sees no WITH
            connection.set_progress_handler(lambda: next(steps) < 0, 1)
            for statement, parameters in caught:
                connection.execute(statement, parameters).fetchall()
        return next(steps)
    blocks = 0
    async with store.database.transaction(ways) as connection:
        for statement, parameters in caught:
            explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
            (found,) = (await connection.exec_driver_sql(explain, parameters)).scalar_one()
            blocks += looked_at(found["Plan"])
    return blocks


def looked_at(plan: Mapping[str, Any]) -> int:
    """Count the blocks; what of a WITH nobody selects from is carried out last, and not counted in the whole."""
    parts = {each["Subplan Name"]: each for each in plan.get("Plans", ()) if "Subplan Name" in each}
    others = [part for name, part in parts.items() if f"'CTE Name': '{name.removeprefix('CTE ')}'" not in str(plan)]
    return sum(each["Shared Hit Blocks"] + each["Shared Read Blocks"] for each in (plan, *others))


async def claim_effort(store: SqlStore, limit: int) -> int:
    """Tell what it costs to find what a claim takes."""
    store.database.fresh = Fresh(0)  # as if another process had put them in
    with catching(store) as caught:
        claimed = await store.outbox.claim("token", limit, AT, 60)
    assert len(claimed) == limit
    await store.outbox.mark("token", claimed, OutboxStatus.READY, AT)
    return await effort(store, caught, Ways.PROBING)


async def test_what_a_claim_costs_does_not_grow_with_history_lanes_or_backlog(store: SqlStore) -> None:
    await grow(store, 1)
    few = await claim_effort(store, 50)
    await grow(store, 8)
    many = await claim_effort(store, 50)
    assert few > 0
    assert many <= 1.15 * few


@pytest.mark.parametrize("waiting", [0, 50])
async def test_what_takes_over_reads_no_further_than_the_other_claim_went(store: SqlStore, waiting: int) -> None:
    """Behind that a lane may have a backlog. And a plan that was made when nothing waited is kept and used later."""
    await fill(store, range(100), 1)
    past = await store.outbox.claim("past", 1000, AT, 60)
    await store.outbox.mark("past", past, OutboxStatus.PUBLISHED, AT)
    if waiting:
        await fill(store, range(100), waiting)
    is_sqlite = store.database.engine.dialect.name == "sqlite"
    async with store.database.engine.connect() as connection:
        await connection.exec_driver_sql("ANALYZE" if is_sqlite else "VACUUM (ANALYZE)")
        await connection.commit()
    await SqlOutbox(store.database).claim("dead", 300, AT - HOUR, 60)
    with catching(store) as caught, undone():
        await SqlOutbox(store.database).claim("token", 500, AT, 60)
    steps = [each for each in caught if "UPDATE outbox_pending" in each[0]]
    assert len(steps) == (0 if is_sqlite and not waiting else 1), "SQLite comes to that step only if something waits"
    explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
    async with store.database.transaction(Ways.PROBING) as connection:
        for statement, parameters in steps:
            plan = [row[-1] for row in await connection.exec_driver_sql(f"{explain} {statement}", parameters)]
            assert [line for line in plan if re.search(r"lane ?= ?\S+ AND \(?id ?<", line)], plan
            assert not [line for line in plan if "Join Filter" in line], plan


async def test_the_relay_probes_however_little_is_known_of_its_tables(store: SqlStore) -> None:
    """Statistics that were taken when nothing waited do not mislead it."""
    await grow(store, 1)
    async with store.database.write() as connection:
        await connection.execute(text("ANALYZE"))
    await fill(store, range(3000, 3100), 20)
    with catching(store) as caught:
        claimed = await store.outbox.claim("token", 500, AT, 60)
        assert await store.outbox.mark("token", claimed, OutboxStatus.PUBLISHED, AT) == 500
    await assert_found_by_index(store, caught)


@contextmanager
def undone() -> Iterator[None]:
    """Let nothing be done for good: SQLite does not commit, PostgreSQL is not even told of a statement that would."""

    async def refuse(*_anything: object) -> None:
        raise LookupError

    with pytest.MonkeyPatch.context() as patch, suppress(LookupError):
        patch.setattr(AsyncConnection, "commit", refuse)
        patch.setattr(asyncpg.Connection, "fetch", refuse)
        yield


async def relay_effort(store: SqlStore) -> int:
    """Tell what it costs to claim and to mark a batch that comes from many lanes."""
    with catching(store) as claiming, undone():
        await store.outbox.claim("token", 1000, AT, 60)
    cost = await effort(store, claiming, Ways.PROBING)
    claimed = await store.outbox.claim("token", 1000, AT, 60)
    assert len({each.lane for each in claimed}) > 3
    for ending in (OutboxStatus.READY, OutboxStatus.PUBLISHED):
        with catching(store) as marking, undone():
            await store.outbox.mark("token", claimed, ending, AT)
        cost += await effort(store, marking, Ways.MATCHING)
    assert await store.outbox.mark("token", claimed, OutboxStatus.READY, AT) == 1000
    return cost


async def test_the_relay_probes_where_nothing_is_believed_to_wait(store: SqlStore) -> None:
    """Statistics of an empty table which had many rows say that it costs next to nothing to read it from end to end."""
    await fill(store, range(100), 50)
    past = await store.outbox.claim("past", 100_000, AT, 60)
    assert await store.outbox.mark("past", past, OutboxStatus.PUBLISHED, AT) == 5000
    if store.database.engine.dialect.name == "postgresql":
        async with store.database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            await connection.execute(text("VACUUM (ANALYZE, TRUNCATE OFF) outbox_pending"))
    await fill(store, range(100), 220)
    misled = await relay_effort(store)
    async with store.database.write() as connection:
        await connection.execute(text("ANALYZE"))
    assert misled <= 1.15 * await relay_effort(store)


async def test_what_waits_is_told_without_a_look_at_history(busy: SqlStore) -> None:
    await grow(busy, 1)
    with catching(busy) as caught:
        await busy.queries.depths()
        for status in (OutboxStatus.READY, OutboxStatus.CLAIMED):
            await busy.queries.outbox(status, 5)
    oldest = [each for each in caught if "outbox" in each[0]]
    await assert_found_by_index(busy, oldest, but={"outbox_pending"})  # in order of id, to a limit


@pytest.mark.parametrize("before", [0, 1])
async def test_a_lane_is_put_in_once_for_a_process(store: SqlStore, before: int) -> None:
    if before:
        async with store.begin() as work:  # undone: so nothing is known of its lane
            await work.enqueue([message(await work.reserve(1))])
    with catching(store) as caught:
        for _ in range(3):
            await fill(store, range(2), 2)
    assert len([each for each in caught if "INTO lanes" in each[0]]) == 1
    assert len(await store.outbox.claim("token", 100, AT, 60)) == 12


async def test_a_claim_of_large_messages_ends_early(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chfw_sr.storage.outbox.MOST_OCTETS", 2500)
    async with store.begin() as work:
        first = await work.reserve(5)
        await work.enqueue([message(first + number, octets=b"x" * 1000) for number in range(5)])
        await work.commit()
    sizes = []
    for token in ("one", "two", "three"):
        claimed = await store.outbox.claim(token, 100, AT, 60)
        sizes.append(len(claimed))
        assert await store.outbox.mark(token, claimed, OutboxStatus.PUBLISHED, AT) == len(claimed)
    assert sizes == [3, 2, 0]


# ------------------------------------------------------------------------------------- how often the relay asks for it


@contextmanager
def asking(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Catch what is said to PostgreSQL, beginning and end of transactions and all."""
    said: list[str] = []
    execute, fetch = asyncpg.Connection.execute, asyncpg.Connection.fetch

    async def hear_execute(self: asyncpg.Connection, query: str, *arguments: Any, **options: Any) -> str:
        said.append(query)
        return await execute(self, query, *arguments, **options)

    async def hear_fetch(self: asyncpg.Connection, query: str, *arguments: Any, **options: Any) -> list[Any]:
        said.append(query)
        return await fetch(self, query, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(asyncpg.Connection, "execute", hear_execute)
        patch.setattr(asyncpg.Connection, "fetch", hear_fetch)
        yield said


@pytest.mark.postgresql
async def test_the_relay_asks_once_for_each_thing(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that comes alone waits for each answer, and each costs as much as a few messages."""
    store = create_store(postgresql_url)
    ids = await fill(store, range(3), 2)
    asked = {}
    for ending in (OutboxStatus.READY, OutboxStatus.PUBLISHED):
        with asking(monkeypatch) as asked["claim", ending]:
            claimed = await store.outbox.claim(ending, 10, AT, 60)
        assert [each.id for each in claimed] == ids
        with asking(monkeypatch) as asked["mark", ending]:
            assert await store.outbox.mark(ending, claimed, ending, AT) == 6
    with asking(monkeypatch) as asked["claim", None]:
        assert await store.outbox.claim("nothing", 10, AT, 60) == []
    await store.close()
    assert {what: len(said) for what, said in asked.items()} == {
        ("claim", OutboxStatus.READY): 1,
        ("mark", OutboxStatus.READY): 1,
        ("claim", OutboxStatus.PUBLISHED): 2,  # what was given back is read
        ("mark", OutboxStatus.PUBLISHED): 1,
        ("claim", None): 1,
    }


async def test_what_cannot_be_read_is_given_back(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim stands as soon as it is made, and its messages come a little later."""
    ids = await fill(store, range(2), 2)
    store.database.fresh = Fresh(0)

    def unreadable(_row: object) -> None:
        raise Unavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr("chfw_sr.storage.outbox.to_message", unreadable)
        with pytest.raises(Unavailable, match="away"):
            await store.outbox.claim("one", 10, AT, 60)
    assert [each.id for each in await store.outbox.claim("two", 10, AT, 60)] == ids
    assert [each.attempts for each in await store.queries.outbox(None, 10)] == [1] * 4
