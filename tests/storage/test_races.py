"""Races that only row locks decide: transactions that are open at once on PostgreSQL, and who waits for whom."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Connection, Select, Text, cast, event, func, select, text

from chfw_sr.campaign.changes import (
    ActivationsRecorded,
    CampaignEvent,
    CampaignSaved,
    DefaultListSet,
    NominationsReplaced,
    RankRange,
    SafeLaunchAllotted,
)
from chfw_sr.campaign.facts import Facts, Needs
from chfw_sr.messages import CampaignID, Phase, Stage
from chfw_sr.service.ports import (
    Claim,
    Claimed,
    ClaimStatus,
    MessageKind,
    OutboxMessage,
    OutboxStatus,
    Patience,
    Unavailable,
    UnitOfWork,
)
from chfw_sr.storage.dialects import SqlDialect
from chfw_sr.storage.outbox import SqlOutbox
from chfw_sr.storage.store import SqlStore, create_store
from chfw_sr.storage.tables import lanes
from tests.contract.makers import (
    ALICE,
    AT,
    BOB,
    C1,
    C2,
    CAUSE,
    HOUR,
    NEW,
    apply,
    campaign,
    claim,
    create,
    enrol,
    found,
    hub,
    hub_eui,
    numbers,
    post,
    record,
    result,
    stock,
    user,
    window,
)

from .test_plans import catching

pytestmark = pytest.mark.postgresql


@pytest.fixture
def store(postgresql_store: SqlStore) -> SqlStore:
    return postgresql_store


@pytest.fixture
async def impatient(postgresql_url: str) -> AsyncIterator[SqlStore]:
    store = create_store(postgresql_url, lock_timeout_ms=100)
    yield store
    await store.close()


async def waiting(store: SqlStore, count: int = 1) -> None:
    """Wait until that many transactions of this database wait for a lock; the server itself counts them."""
    question = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with store.database.engine.connect() as connection:
        while await connection.scalar(question) != count:
            await connection.rollback()
            await connection.execute(text("SELECT pg_sleep(0.005)"))


async def within(store: SqlStore, work: Callable[[UnitOfWork], Awaitable[None]]) -> None:
    async with store.begin() as unit:
        await work(unit)
        await unit.commit()


async def settle(store: SqlStore, claimed: Claim, response: bytes) -> Claimed:
    """Claim, and answer unless it is a repeat."""
    async with store.begin() as work:
        (answer,) = await work.claim([claimed])
        if answer.status is not ClaimStatus.REPEAT:
            await work.finish([record(claimed, response)])
            await work.commit()
    return answer


async def told(work: UnitOfWork) -> None:
    """Have the database told of what is to be written: it is told at the commit, or before it is asked for more."""
    await work.anticipate([])


async def test_of_two_claims_at_once_the_later_waits_and_then_finds_the_response(store: SqlStore) -> None:
    async with store.begin() as first:
        await first.claim([claim(1)])
        await first.finish([record(claim(1), b"<first/>")])
        await told(first)
        other = asyncio.create_task(settle(store, claim(1), b"<second/>"))
        await waiting(store)
        await first.commit()
    with pytest.raises(Unavailable):
        await other
    assert await settle(store, claim(1), b"<second/>") == Claimed(ClaimStatus.REPEAT, b"<first/>", "I99")


async def test_a_claim_takes_over_from_one_that_rolled_back(store: SqlStore) -> None:
    async with store.begin() as first:
        await first.claim([claim(1)])
        await first.finish([record(claim(1), b"<first/>")])
        await told(first)
        other = asyncio.create_task(settle(store, claim(1), b"<second/>"))
        await waiting(store)
    assert (await other).status is ClaimStatus.NEW
    assert await settle(store, claim(1), b"") == Claimed(ClaimStatus.REPEAT, b"<second/>", "I99")


async def test_of_two_contents_at_once_the_later_is_a_conflict(store: SqlStore) -> None:
    async with store.begin() as first:
        await first.claim([claim(1)])
        await first.finish([record(claim(1))])
        await told(first)
        other = asyncio.create_task(settle(store, claim(1, "other"), b"<other/>"))
        await waiting(store)
        await first.commit()
    with pytest.raises(Unavailable):
        await other
    assert (await settle(store, claim(1, "other"), b"<other/>")).status is ClaimStatus.CONFLICT


async def test_the_same_conflict_at_once_is_one_conflict_and_one_repeat(store: SqlStore) -> None:
    await settle(store, claim(1), b"<response/>")
    async with store.begin() as first:
        assert (await first.claim([claim(1, "other")]))[0].status is ClaimStatus.CONFLICT
        await first.finish([record(claim(1, "other"), b"<conflict/>")])
        await told(first)
        other = asyncio.create_task(settle(store, claim(1, "other"), b"<late/>"))
        await waiting(store)
        await first.commit()
    with pytest.raises(Unavailable):
        await other
    assert await settle(store, claim(1, "other"), b"") == Claimed(ClaimStatus.REPEAT, b"<conflict/>", "I99")


async def test_batches_that_share_request_ids_wait_for_each_other_in_one_direction(store: SqlStore) -> None:
    """They finish in order of RequestID, whatever the order in which they claimed."""
    claims = [claim(1), claim(2)]
    async with store.begin() as first, store.begin() as second:
        for work, order in ((first, claims), (second, claims[::-1])):
            assert [each.status for each in await work.claim(order)] == [ClaimStatus.NEW] * 2
        await first.finish([record(claims[0])])
        await told(first)
        await second.finish([record(each) for each in claims[::-1]])
        other = asyncio.create_task(second.commit())
        await waiting(store)
        await first.finish([record(claims[1])])
        await first.commit()
        with pytest.raises(Unavailable, match="busy or away"):
            await other


async def test_of_two_creators_the_later_is_told_to_try_again(store: SqlStore) -> None:
    async with store.begin() as first:
        await first.apply([CampaignSaved(campaign(), CampaignEvent.CREATED)], CAUSE)
        await first.tell()
        other = asyncio.create_task(create(store))
        await waiting(store)
        await first.commit()
    with pytest.raises(Unavailable):
        await other
    assert len(await store.queries.campaign_history(C1, 10)) == 1


async def test_a_campaign_is_decided_on_by_one_at_a_time(store: SqlStore) -> None:
    await create(store)
    seen: list[Stage] = []

    async def second(work: UnitOfWork) -> None:
        seen.append((await work.facts(Needs(campaign=C1))).campaigns[C1].campaign.stage)

    async with store.begin() as first:
        known = (await first.facts(Needs(campaign=C1))).campaigns[C1].campaign
        other = asyncio.create_task(within(store, second))
        await waiting(store)
        await first.apply([CampaignSaved(replace(known, stage=Stage.ABORTED), CampaignEvent.STAGE_CHANGED)], CAUSE)
        await first.commit()
    await other
    assert seen == [Stage.ABORTED]


async def test_a_hub_that_is_nominated_meanwhile_is_seen_as_nominated(store: SqlStore) -> None:
    """The place of a hub is read after its lock, not before."""
    await stock(store, hub(1))
    await create(store, campaign(), campaign(C2))
    seen: list[Facts] = []

    async def second(work: UnitOfWork) -> None:
        seen.append(await work.facts(Needs(user=BOB, campaign=C2, hubs=numbers([1]))))

    async with store.begin() as first:
        await first.facts(Needs(user=ALICE, campaign=C1, hubs=numbers([1])))
        other = asyncio.create_task(within(store, second))
        await waiting(store)
        await first.apply([NominationsReplaced(C1, ALICE, numbers([1]))], CAUSE)
        await first.commit()
    await other
    place = seen[0].hubs[hub_eui(1)].membership
    assert place is not None
    assert (place.campaign_id, place.nominated_by) == (C1, ALICE)


async def test_a_safe_launch_waits_for_whoever_decides_on_a_hub_of_its_model(store: SqlStore) -> None:
    await stock(store, hub(1), hub(2))
    await create(store, campaign(), campaign(C2, firmware_version="3.0"))
    counted: list[int] = []

    async def launch(work: UnitOfWork) -> None:
        counted.append(sum((await work.facts(Needs(campaign=C1, remaining=True))).remaining.values()))

    async with store.begin() as first:
        await first.facts(Needs(user=ALICE, campaign=C2, hubs=numbers([1])))
        other = asyncio.create_task(within(store, launch))
        await waiting(store)
        await first.apply([DefaultListSet(C2, {ALICE: numbers([1])})], CAUSE)
        await first.commit()
    await other
    assert counted == [1]


async def test_whoever_decides_on_a_hub_waits_for_a_safe_launch_of_its_model(store: SqlStore) -> None:
    """A report that comes while a hub is taken into the Safe Launch counts in it."""
    await stock(store, hub(1))
    await create(store)
    seen: list[Facts] = []

    async def report(work: UnitOfWork) -> None:
        seen.append(await work.facts(Needs(user=ALICE, hubs=numbers([1]), hub_campaigns=True)))

    async with store.begin() as first:
        assert (await first.facts(Needs(campaign=C1, remaining=True))).remaining == {ALICE: 1}
        other = asyncio.create_task(within(store, report))
        await waiting(store)
        await first.apply([SafeLaunchAllotted(C1, (RankRange(window(), 0, 1),))], CAUSE)
        await first.commit()
    await other
    place = seen[0].hubs[hub_eui(1)].membership
    assert place is not None
    assert (place.campaign_id, place.phase) == (C1, Phase.SAFE_LAUNCH)
    assert set(seen[0].campaigns) == {C1}


async def test_hubs_of_other_models_do_not_wait_for_a_safe_launch(store: SqlStore) -> None:
    await stock(store, hub(1), hub(2, model="Other"))
    await create(store)
    async with store.begin() as launch, store.begin() as report:
        await launch.facts(Needs(campaign=C1, remaining=True))
        assert set((await report.facts(Needs(user=ALICE, hubs=numbers([2])))).hubs) == {hub_eui(2)}


async def test_the_inventory_may_change_between_count_and_allotment(store: SqlStore) -> None:
    """An import does not wait for a Safe Launch; the hubs allotted are those counted all the same."""
    await stock(store, hub(1), hub(2), hub(3))
    await create(store)
    async with store.begin() as work:
        assert (await work.facts(Needs(campaign=C1, remaining=True))).remaining == {ALICE: 3}
        await stock(store, hub(1, firmware_version="2.0"), hub(4))
        await work.apply([SafeLaunchAllotted(C1, (RankRange(window(), 0, 3),))], CAUSE)
        await work.commit()
    places = [each.membership is not None for each in await found(store, 1, 2, 3, 4)]
    assert places == [True, True, True, False]


async def test_a_campaign_that_took_a_hub_while_a_report_waited_is_locked_too(store: SqlStore) -> None:
    await stock(store, hub(1))
    await create(store)
    seen: list[Facts] = []

    async def report(work: UnitOfWork) -> None:
        facts = await work.facts(Needs(user=ALICE, hubs=numbers([1]), hub_campaigns=True))
        await work.apply([ActivationsRecorded((result(1),))], CAUSE)
        seen.append(facts)

    async with store.begin() as first:
        await first.facts(Needs(user=ALICE, campaign=C1, hubs=numbers([1])))
        other = asyncio.create_task(within(store, report))
        await waiting(store)
        await first.apply([NominationsReplaced(C1, ALICE, numbers([1]))], CAUSE)
        await first.commit()
    await other
    assert set(seen[0].campaigns) == {C1}


async def test_reports_over_several_campaigns_wait_for_each_other_in_one_direction(store: SqlStore) -> None:
    """Each would lock the campaign that the other has, if it locked them report by report."""
    await stock(store, hub(1), hub(2))
    await create(store, campaign(), campaign(C2, firmware_version="3.0"))
    async with store.begin() as work:
        await work.apply([DefaultListSet(C1, {ALICE: numbers([1])}), DefaultListSet(C2, {ALICE: numbers([2])})], CAUSE)
        await work.commit()
    reports = [Needs(user=ALICE, hubs=numbers([number]), hub_campaigns=True) for number in (1, 2)]
    seen: list[CampaignID] = []

    async def batch(work: UnitOfWork, needs: list[Needs]) -> None:
        for each in needs:
            seen.extend((await work.facts(each)).campaigns)

    async def second(work: UnitOfWork) -> None:
        await work.anticipate(reports[::-1])
        await batch(work, reports[::-1])

    async with store.begin() as first:
        await first.anticipate(reports)
        other = asyncio.create_task(within(store, second))
        await waiting(store)
        await batch(first, reports)
        await first.commit()
    await other
    assert seen == [C1, C2, C2, C1]


async def test_what_is_anticipated_is_locked(store: SqlStore, impatient: SqlStore) -> None:
    """A campaign, a hub of a short list, one of a long list, and the model that a Safe Launch is of."""
    await stock(store, hub(1), hub(2), *(hub(number, model="Other") for number in range(10, 1011)))
    await create(store)
    long = Needs(user=ALICE, hubs=numbers(range(10, 1011)))
    for needs, other in (
        (Needs(campaign=C1), Needs(campaign=C1)),
        (Needs(hubs=numbers([1])), Needs(hubs=numbers([1, 2]))),
        (long, Needs(hubs=numbers([500]))),
        (Needs(campaign=C1, remaining=True), Needs(hubs=numbers([2]))),
    ):
        async with store.begin() as first:
            await first.anticipate([needs])
            async with impatient.begin() as second:
                with pytest.raises(Unavailable, match="lock timeout"):
                    await second.facts(other)


async def test_hubs_are_locked_after_campaigns(store: SqlStore, impatient: SqlStore) -> None:
    """In one statement, but in this order: whoever waits for a campaign has no hub that others may want."""
    await stock(store, hub(0), hub(1))
    await create(store, campaign(stage=Stage.PILOT_CONSULTATION, response_deadline=AT + HOUR))
    asked = Needs(user=ALICE, campaign=C1, hubs=numbers([0]), responsible=True)
    async with store.begin() as work:
        await work.facts(Needs(campaign=C1))
        async with asyncio.TaskGroup() as group:
            later = group.create_task(within(store, lambda other: other.anticipate([asked])))
            await waiting(store)
            async with impatient.begin() as free:
                await free.facts(Needs(hubs=numbers([0])))
            assert not later.done()
            await work.commit()
    async with store.begin() as work:
        await work.facts(Needs(hubs=numbers([0])))
        async with asyncio.TaskGroup() as group:
            group.create_task(within(store, lambda other: other.anticipate([asked])))
            await waiting(store)
            with pytest.raises(Unavailable):
                async with impatient.begin() as held:
                    await held.facts(Needs(campaign=C1))
            await work.commit()


async def test_ids_that_were_reserved_before_a_lock_are_not_used_after_it(store: SqlStore) -> None:
    """Whoever had the lock meanwhile told its Users something first, and under greater ids."""
    await stock(store, hub(0))
    await create(store, campaign(), campaign(C2))
    async with store.begin() as work:
        await work.anticipate([Needs(user=ALICE, campaign=C1)])
        before = await work.reserve(2)
        assert await work.reserve(1) == before + 2
        async with store.begin() as other:
            await other.anticipate([Needs(user=ALICE, campaign=C2)])
            meanwhile = await other.reserve(1)
            await other.commit()
        await work.anticipate([Needs(campaign=C2)])  # which locks it, and asks nothing beside which to reserve more
        assert before < meanwhile < await work.reserve(1)


async def test_plans_that_were_made_when_tables_were_empty_are_good_when_they_have_grown(store: SqlStore) -> None:
    """They are kept until autovacuum comes round. A claim read the whole inbox, a report all results of all hubs.

    A plan is good if it comes to these tables by a condition on an index, once for each row that is given. An inventory
    is there before all this.
    """
    await enrol(store, user(ALICE))
    await stock(store, *map(hub, range(1000)))
    async with store.database.engine.connect() as connection:
        await connection.exec_driver_sql("VACUUM (ANALYZE)")
        await connection.commit()
    await create(store, campaign(stage=Stage.PILOT_CONSULTATION, response_deadline=AT + HOUR))
    asked = Needs(
        user=ALICE,
        campaign=C1,
        hubs=numbers([0]),
        responsible=True,
        hub_campaigns=True,
        own_lists=True,
        activations=((hub_eui(0), NEW, AT),),
    )
    async with store.begin() as work:
        await work.claim([claim(1)])
        await work.anticipate([asked, Needs(campaign=C1, cells=True)])
        await work.apply([NominationsReplaced(C1, ALICE, numbers([0])), ActivationsRecorded((result(0),))], CAUSE)
        await work.finish([record(claim(1))])
        connection = work._connection  # type: ignore[attr-defined]
        kept = (await connection.execute(_KEPT)).all()
        plans = [await connection.exec_driver_sql(f"EXPLAIN EXECUTE {name}({nothing})") for name, nothing in kept]
    looked_at: set[str] = set()
    for plan in ([line for (line,) in plan] for plan in plans):
        for line, following in pairwise([*plan, ""]):
            if (scan := _SCAN.search(line)) is not None:
                looked_at.add(scan["table"])
                assert "Index Cond" in following, "\n".join(plan)
    assert looked_at >= {"inbox", "activations", "campaign_hubs", "participations", "cells", "hubs"}


_KEPT = text(
    "SELECT name, array_to_string(array_fill('NULL'::text, ARRAY[cardinality(parameter_types)]), ',') "
    "FROM pg_prepared_statements WHERE cardinality(parameter_types) > 0 AND statement ~ '^(SELECT|WITH|UPDATE|DELETE)' "
    "AND statement !~ 'pg_catalog'"
)
"""Statements whose plans the connection keeps, each with as many parameters as it takes."""

_SCAN = re.compile(r"Scan .*\bon (?P<table>inbox|activations|campaign_hubs|participations|cells|hubs)\b")


async def test_statements_of_a_batch_stay_prepared_however_long_they_are(store: SqlStore) -> None:
    """The driver forgets those of more than 15 KiB unless it is told not to, and has each planned anew then."""
    await create(store, campaign(stage=Stage.PILOT_CONSULTATION, response_deadline=AT + HOUR))
    async with store.begin() as work:
        with catching(store) as caught:
            await work.anticipate([Needs(user=ALICE, campaign=C1, responsible=True, own_lists=True)])
        connection = work._connection  # type: ignore[attr-defined]
        prepared = (await connection.exec_driver_sql("SELECT statement FROM pg_prepared_statements")).scalars().all()
    asked = [statement for statement, _ in caught]
    assert set(asked) <= set(prepared)
    assert max(map(len, asked)) > 15 * 1024


async def test_a_long_list_that_waited_for_a_report_sees_what_it_reported(store: SqlStore) -> None:
    """It is read by the statement that locks it, and told by the row that it waited for."""
    await stock(store, *(hub(number) for number in range(1, 1010)))
    await create(store)
    listed = Needs(hubs=numbers(range(1, 1010)))
    known: list[Facts] = []

    async def second(work: UnitOfWork) -> None:
        await work.anticipate([listed])
        with catching(store) as caught:
            known.append(await work.facts(listed))
        assert not [statement for statement, _ in caught if re.search(r"\bhubs\b", statement)]

    async with store.begin() as first:
        await first.facts(Needs(hubs=numbers([7]), hub_campaigns=True))
        other = asyncio.create_task(within(store, second))
        await waiting(store)
        await first.apply([ActivationsRecorded((result(7, campaign_id=None, phase=None),))], CAUSE)
        await first.commit()
    await other
    assert [eui for eui, each in known[0].hubs.items() if each.firmware_version == NEW] == [hub_eui(7)]
    assert len(known[0].hubs) == 1009


async def test_of_two_that_wait_for_each_other_one_is_told_to_try_again(store: SqlStore) -> None:
    await create(store, campaign(), campaign(C2))
    got: list[str] = []

    async def both(first: str, second: str, mine: asyncio.Event, theirs: asyncio.Event) -> None:
        async with store.begin() as work:
            await work.facts(Needs(campaign=C1 if first == "C1" else C2))
            mine.set()
            await theirs.wait()
            await work.facts(Needs(campaign=C1 if second == "C1" else C2))
            got.append(first)

    here, there = asyncio.Event(), asyncio.Event()
    ends = await asyncio.gather(both("C1", "C2", here, there), both("C2", "C1", there, here), return_exceptions=True)
    assert len(got) == 1
    assert [type(end) for end in ends if end is not None] == [Unavailable]


async def test_whoever_waits_too_long_is_told_to_try_again(store: SqlStore, impatient: SqlStore) -> None:
    await create(store)
    async with store.begin() as first:
        await first.facts(Needs(campaign=C1))
        async with impatient.begin() as second:
            with pytest.raises(Unavailable, match="lock timeout"):
                await second.facts(Needs(campaign=C1))


async def test_a_connection_that_is_cut_is_unavailable_and_the_next_is_not(store: SqlStore) -> None:
    async with store.begin() as work:
        await work.claim([claim(1)])
        pid = await work._connection.scalar(text("SELECT pg_backend_pid()"))  # type: ignore[attr-defined]
        async with store.database.engine.connect() as killer:
            await killer.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        await work.finish([record(claim(1))])
        with pytest.raises(Unavailable):
            await work.commit()
    async with store.begin() as work:
        assert (await work.claim([claim(1)]))[0].status is ClaimStatus.NEW


async def test_a_pooled_connection_that_died_is_replaced(store: SqlStore) -> None:
    await enrol(store, user(ALICE))
    async with store.database.engine.connect() as killer:
        await killer.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid()"
            )
        )
    assert len(await store.register.users()) == 1


async def test_a_server_that_is_away_is_unavailable(unused_tcp_port: int) -> None:
    store = create_store(f"postgresql+asyncpg://postgres@127.0.0.1:{unused_tcp_port}/nowhere")
    try:
        with pytest.raises(Unavailable):
            async with store.begin():
                pass
        with pytest.raises(Unavailable):
            await store.queries.campaigns()
    finally:
        await store.close()


@pytest.mark.parametrize("count", [1, 2**16, 2**16 + 1, 3 * 2**16])
async def test_blocks_of_ids_do_not_overlap(store: SqlStore, count: int) -> None:
    async def reserve() -> list[range]:
        async with store.begin() as work:
            return [range(first, first + count) for first in [await work.reserve(count) for _ in range(5)]]

    ranges = [each for some in await asyncio.gather(*(reserve() for _ in range(4))) for each in some]
    ranges.sort(key=lambda each: each.start)
    assert all(before.stop <= after.start for before, after in pairwise(ranges))


async def test_joins_are_hashed_while_a_list_is_written(store: SqlStore) -> None:
    """For a campaign that statistics take for empty, to compare each hub with each that is there seems as cheap."""
    await create(store)
    ways: list[str] = []

    def look(connection: Connection, _cursor: Any, statement: str, *_others: Any) -> None:
        if statement.startswith(("UPDATE campaign_hubs", "INSERT INTO campaign_hubs", "INSERT INTO history")):
            ways.append(connection.exec_driver_sql("SHOW enable_nestloop").scalar_one())

    engine = store.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", look)
    try:
        for _ in range(2):
            await apply(store, NominationsReplaced(C1, ALICE, numbers(range(10))))
    finally:
        event.remove(engine, "before_cursor_execute", look)
    assert ways == ["on", "on", "off", "off"] * 2


# --------------------------------------------------------------------------------------------- two relays and one lane

GATE = 7
"""The number of a lock that a claim waits for, after it has begun and before it locks lanes."""

EAGER = Patience(frozenset(), AT, 1)
WAYS_OUT = [(MessageKind.ALERT, None), (MessageKind.EMAIL, EAGER)]


async def relay_claim(store: SqlStore, token: str, limit: int, mail: Patience | None) -> list[OutboxMessage]:
    return list(await store.outbox.claim(token, limit, AT, 60, mail=mail))


def gated(next_lanes: Callable[[SqlDialect], Select[Any]]) -> Callable[[SqlDialect], Select[Any]]:
    """Let the statement that finds lanes wait at the gate, at each lane that it has found and not yet locked."""

    def wait(dialect: SqlDialect) -> Select[Any]:
        return next_lanes(dialect).where(cast(func.pg_advisory_xact_lock_shared(GATE), Text) == "")

    return wait


@asynccontextmanager
async def claiming(store: SqlStore, limit: int, mail: Patience | None) -> AsyncIterator[asyncio.Task[Any]]:
    """Have a claim that sees what there is now, and goes on only at the end, from the locks of its lanes on."""
    slow = create_store(store.database.engine.url.render_as_string(hide_password=False))
    outbox = slow.outbox
    assert isinstance(outbox, SqlOutbox)
    for rota in (outbox._bus, outbox._mail):
        rota.next_lanes = gated(rota.next_lanes)
    async with store.database.transaction() as gate:
        await gate.execute(select(cast(func.pg_advisory_xact_lock(GATE), Text)))
        task = asyncio.create_task(relay_claim(slow, "slow", limit, mail))
        await waiting(store)
        yield task
    await asyncio.wait([task])
    await slow.close()


async def held(store: SqlStore) -> dict[str, tuple[str | None, int | None, int]]:
    """Give the lanes with their tokens, how far they are claimed, and how many messages of each."""
    async with store.database.read() as connection:
        found = await connection.execute(select(lanes.c.lane, lanes.c.token, lanes.c.claimed_to, lanes.c.claimed))
        return {lane: (token, claimed_to, claimed) for lane, token, claimed_to, claimed in found}


@pytest.mark.parametrize(("kind", "mail"), WAYS_OUT)
async def test_what_another_relay_published_meanwhile_is_not_claimed(
    store: SqlStore, kind: MessageKind, mail: Patience | None
) -> None:
    """It was there when the claim's statement began, and the lane is free again when that locks it."""
    ids = await post(store, 3, kind=kind)
    others = await post(store, 2, kind=kind, recipient=BOB)
    async with claiming(store, 10, mail) as slow:
        quick = await relay_claim(store, "quick", 2, mail)
        assert await store.outbox.mark("quick", quick, OutboxStatus.PUBLISHED, AT) == 2
    assert [each.id for each in await slow] == others
    alice, bob = sorted(await held(store), key=lambda lane: lane.endswith(BOB))
    assert await held(store) == {alice: (None, None, 0), bob: ("slow", others[-1], 2)}
    assert [each.id for each in await relay_claim(store, "later", 10, mail)] == ids[2:]
    assert [each.attempts for each in await store.queries.outbox(None, 10)] == [1] * 5


@pytest.mark.parametrize("ending", [OutboxStatus.PUBLISHED, OutboxStatus.READY, None])
async def test_a_lane_that_another_relay_held_meanwhile_is_passed_over(
    store: SqlStore, ending: OutboxStatus | None
) -> None:
    """Whether it has it still, or has published all or given all back."""
    ids = await post(store, 2)
    async with claiming(store, 10, None) as slow:
        quick = await relay_claim(store, "quick", 10, None)
        if ending is not None:
            assert await store.outbox.mark("quick", quick, ending, AT) == 2
    assert await slow == []
    left = {OutboxStatus.PUBLISHED: [], OutboxStatus.READY: ids, None: []}[ending]
    assert [each.id for each in await relay_claim(store, "later", 10, None)] == left


async def test_of_two_that_take_over_one_counts_the_attempt(store: SqlStore) -> None:
    ids = await post(store, 3)
    await store.outbox.claim("dead", 2, AT - HOUR, 60)
    async with claiming(store, 10, None) as slow:
        assert [each.id for each in await relay_claim(store, "quick", 10, None)] == ids
    assert await slow == []
    assert list((await held(store)).values()) == [("quick", ids[-1], 3)]
    assert [each.attempts for each in await store.queries.outbox(None, 10)] == [2, 2, 1]


async def test_what_is_put_into_a_lane_meanwhile_waits_for_the_next_claim(store: SqlStore) -> None:
    ids = await post(store, 1)
    async with claiming(store, 10, None) as slow:
        more = await post(store, 1)
    claimed = await slow
    assert [each.id for each in claimed] == ids
    assert list((await held(store)).values()) == [("slow", ids[-1], 1)]
    assert await store.outbox.mark("slow", claimed, OutboxStatus.PUBLISHED, AT) == 1
    assert [each.id for each in await relay_claim(store, "later", 10, None)] == more


async def test_a_late_relay_that_marks_while_its_lane_is_taken_over_marks_nothing(store: SqlStore) -> None:
    ids = await post(store, 2)
    late = await store.outbox.claim("late", 10, AT - HOUR, 60)
    async with claiming(store, 10, None) as slow:
        assert await store.outbox.mark("late", late[:1], OutboxStatus.PUBLISHED, AT) == 1
    assert await slow == [], "it was marked first"
    assert [each.id for each in await relay_claim(store, "next", 10, None)] == ids[1:]
    assert await store.outbox.mark("late", late[1:], OutboxStatus.PUBLISHED, AT) == 0


async def test_relays_that_race_for_few_lanes_publish_everything_once_and_in_order(
    store: SqlStore, postgresql_url: str
) -> None:
    other = create_store(postgresql_url)
    recipients = [hub_eui(number) for number in range(3)]
    published: dict[str, list[int]] = {recipient: [] for recipient in recipients}
    ended = asyncio.Event()

    async def fill() -> None:
        for _ in range(60):
            for recipient in recipients:
                await post(store, 2, recipient=recipient)
        ended.set()

    async def relay(of: SqlStore, name: str) -> None:
        number, idle = 0, 0
        while idle < 3:
            number += 1
            claimed = await relay_claim(of, f"{name}-{number}", 3, None)
            for each in claimed:
                published[each.recipient].append(each.id)
            assert await of.outbox.mark(f"{name}-{number}", claimed, OutboxStatus.PUBLISHED, AT) == len(claimed)
            idle = idle + 1 if not claimed and ended.is_set() else 0

    await asyncio.gather(fill(), *(relay(of, f"{place}") for place, of in enumerate((store, other) * 2)))
    await other.close()
    assert [len(ids) for ids in published.values()] == [120] * 3
    assert all(ids == sorted(set(ids)) for ids in published.values())
