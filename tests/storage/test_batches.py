"""A batch asks the database once and writes to it once, and what it remembers of it is what the database would say."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from chfw_sr.campaign.changes import (
    ActivationsRecorded,
    CampaignEvent,
    CampaignSaved,
    Change,
    DefaultListSet,
    NominationsReplaced,
    ParticipationSaved,
    PreferenceEvent,
)
from chfw_sr.campaign.facts import Facts, Needs
from chfw_sr.campaign.model import Participation
from chfw_sr.messages import EUI, Stage
from chfw_sr.service.ports import UnitOfWork
from chfw_sr.storage.store import SqlStore
from chfw_sr.storage.workspace import BULK
from tests.contract.makers import (
    ALICE,
    AT,
    BOB,
    C1,
    CAUSE,
    HOUR,
    NEW,
    OLD,
    campaign,
    create,
    facts,
    found,
    hub,
    hub_eui,
    kinds,
    numbers,
    result,
    stock,
)

from .test_plans import catching

CONSULTING = campaign(stage=Stage.PILOT_CONSULTATION, response_deadline=AT + HOUR)


@pytest.fixture
async def consulting(store: SqlStore) -> SqlStore:
    """Give a store with a campaign under consultation, which lists hub 0 for Alice."""
    await stock(store, *(hub(number, gas_supplier=BOB) for number in range(60)))
    await create(store, CONSULTING)
    async with store.begin() as work:
        await work.apply([DefaultListSet(C1, {ALICE: numbers([0])})], CAUSE)
        await work.commit()
    return store


def nomination(supplier: EUI, *wanted: int) -> tuple[Needs, list[Change]]:
    """Give what 11.6 asks and what it changes."""
    hubs = numbers(wanted)
    part = Participation(C1, supplier, nominated_devices=len(hubs))
    changes = [ParticipationSaved(part, PreferenceEvent.PREFERENCES_UPDATED), NominationsReplaced(C1, supplier, hubs)]
    return Needs(user=supplier, campaign=C1, hubs=hubs, responsible=True), changes


def report(number: int, version: str = NEW) -> tuple[Needs, list[Change]]:
    """Give what 11.30 asks and what it changes, for a hub that no campaign holds."""
    one = result(number, version=version, campaign_id=None, phase=None)
    key = (hub_eui(number), version, AT)
    needs = Needs(user=ALICE, hubs=numbers([number]), hub_campaigns=True, activations=(key,))
    return needs, [ActivationsRecorded((one,))]


async def carry_out(work: UnitOfWork, requests: Sequence[tuple[Needs, list[Change]]]) -> None:
    await work.anticipate([needs for needs, _ in requests])
    for needs, changes in requests:
        await work.facts(needs)
        await work.apply(changes, CAUSE)


@pytest.mark.parametrize("count", [2, 20])
async def test_the_number_of_statements_does_not_grow_with_the_batch(consulting: SqlStore, count: int) -> None:
    requests = [nomination((ALICE, BOB)[n % 2], 2 * n + n % 2, 40 + n % 2) for n in range(count)]
    requests += [report(59 - n) for n in range(count // 2)]
    async with consulting.begin() as work:
        with catching(consulting) as caught:
            await carry_out(work, requests)
            asked = len(caught)
            await work.commit()
    together = consulting.database.engine.dialect.name == "postgresql"
    assert asked <= (6 if together else 13)
    assert len(caught) - asked <= (2 if together else 6)


async def test_what_was_anticipated_is_not_asked_again(consulting: SqlStore) -> None:
    needs, _ = nomination(BOB, 1, 2)
    reading = Needs(user=BOB, campaign=C1, responsible=True, own_lists=True, cells=True)
    async with consulting.begin() as work:
        await work.anticipate([needs, reading])
        with catching(consulting) as caught:
            answers = [await work.facts(needs), await work.facts(reading)]
        assert caught == []
    assert answers == [await facts(consulting, **_asked(needs)), await facts(consulting, **_asked(reading))]


def _asked(needs: Needs) -> dict[str, object]:
    return {name: getattr(needs, name) for name in Needs.__dataclass_fields__}


async def seen_afterwards(store: SqlStore, requests: Sequence[tuple[Needs, list[Change]]], needs: Needs) -> Facts:
    """Carry requests out; what is answered within the transaction must be what is answered after it."""
    async with store.begin() as work:
        await carry_out(work, requests)
        within = await work.facts(needs)
        await work.commit()
    assert within == await facts(store, **_asked(needs))
    return within


async def test_a_hub_that_is_given_up_is_anothers_within_the_same_batch(consulting: SqlStore) -> None:
    requests = [nomination(ALICE, 0, 1), nomination(ALICE, 2), nomination(BOB, 1, 0)]
    needs = Needs(user=BOB, campaign=C1, hubs=numbers(range(3)), responsible=True, own_lists=True)
    known = await seen_afterwards(consulting, requests, needs)
    assert known.own_lists.preferred == numbers([1, 0])
    owners = [each.membership and each.membership.nominated_by for each in await found(consulting, 0, 1, 2)]
    assert owners == [BOB, BOB, ALICE]
    assert await kinds(consulting, 1) == ["Nominated", "NominationWithdrawn", "Nominated"]


async def test_a_hub_that_comes_back_begins_anew(consulting: SqlStore) -> None:
    """Its row went with what was reported before; a hub of the default list keeps its row."""
    async with consulting.begin() as work:
        await carry_out(work, [nomination(ALICE, 0, 1)])
        await work.apply([ActivationsRecorded((result(0), result(1)))], CAUSE)
        await work.commit()
    requests = [nomination(ALICE, 2), nomination(ALICE, 0, 1)]
    await seen_afterwards(consulting, requests, Needs(user=ALICE, campaign=C1, hubs=numbers([0, 1]), responsible=True))
    outcomes = [each.membership and each.membership.outcome for each in await found(consulting, 0, 1)]
    assert outcomes == ["Success", None]


async def test_a_hub_that_is_nominated_and_reported_in_one_batch_gets_both(consulting: SqlStore) -> None:
    """Else what is written to its row in one statement would be the one or the other."""
    needs, changes = nomination(ALICE, 0, 1)
    async with consulting.begin() as work:
        await carry_out(work, [nomination(ALICE, 1, 0), (needs, [*changes, ActivationsRecorded((result(0),))])])
        await work.commit()
    known = [each.membership for each in await found(consulting, 0, 1)]
    assert [each and (each.nominated_by, each.outcome) for each in known] == [(ALICE, "Success"), (ALICE, None)]


async def test_responsibility_ends_with_the_hub_that_proved_it(store: SqlStore) -> None:
    await stock(store, hub(1, gas_supplier=BOB), hub(2))
    await create(store, CONSULTING)
    asked = Needs(user=BOB, campaign=C1, responsible=True)
    async with store.begin() as work:
        answers = []
        await work.anticipate([asked, report(1)[0]])
        for version, at in ((NEW, AT), (OLD, AT + HOUR)):
            answers.append((await work.facts(asked)).responsible)
            changes = [ActivationsRecorded((result(1, version=version, at=at, campaign_id=None, phase=None),))]
            await work.apply(changes, CAUSE)
        answers.append((await work.facts(asked)).responsible)
    assert answers == [True, False, True]


async def test_the_end_of_a_campaign_frees_its_hubs_within_the_batch(consulting: SqlStore) -> None:
    needs = Needs(hubs=numbers([0]), hub_campaigns=True)
    async with consulting.begin() as work:
        assert (await work.facts(needs)).campaigns.keys() == {C1}
        ended = campaign(stage=Stage.ABORTED, response_deadline=AT + HOUR)
        await work.apply([CampaignSaved(ended, CampaignEvent.STAGE_CHANGED)], CAUSE)
        after = await work.facts(needs)
    assert after.campaigns == {}
    assert after.hubs[hub_eui(0)].membership is None


async def test_a_long_list_and_a_short_one_in_one_batch(store: SqlStore) -> None:
    """The long one is left to the database; each sees what the other did."""
    await stock(store, *(hub(number, gas_supplier=BOB) for number in range(BULK + 10)))
    await create(store, CONSULTING)
    requests = [nomination(ALICE, *range(BULK + 5)), nomination(BOB, BULK + 6), nomination(ALICE, 3, BULK + 7)]
    needs = Needs(user=ALICE, campaign=C1, hubs=numbers([0, 3, BULK + 6]), responsible=True, own_lists=True)
    known = await seen_afterwards(store, requests, needs)
    assert known.own_lists.preferred == numbers([3, BULK + 7])
    owners = [known.hubs[eui].membership for eui in numbers([0, 3, BULK + 6])]
    assert [each and each.nominated_by for each in owners] == [None, ALICE, BOB]


@pytest.mark.parametrize("reported", [1, BULK + 1])
async def test_a_long_list_is_read_as_the_batch_has_left_it(store: SqlStore, reported: int) -> None:
    """What was read ahead of it is forgotten, be the change carried out in memory or in the database."""
    listed = numbers(range(BULK + 5))
    await stock(store, *(hub(number, gas_supplier=(ALICE, BOB)[number % 2]) for number in range(BULK + 5)))
    await create(store, CONSULTING)
    requests, changes = nomination(BOB, 4)
    results = ActivationsRecorded(
        tuple(result(number, campaign_id=None, phase=None) for number in range(4, 4 + reported))
    )
    needs = Needs(user=ALICE, campaign=C1, hubs=listed)
    async with store.begin() as work:
        await work.anticipate([needs])
        await work.facts(requests)
        await work.apply(changes, CAUSE)
        await work.facts(Needs(hubs=numbers(range(4, 4 + reported)), hub_campaigns=True))
        await work.apply([results], CAUSE)
        within = await work.facts(needs)
        await work.commit()
    assert within == await facts(store, **_asked(needs))
    assert [within.hubs[eui].firmware_version for eui in listed].count(NEW) == reported
    owners = {eui: each.membership.nominated_by for eui, each in within.hubs.items() if each.membership}
    assert owners == {hub_eui(4): BOB}


async def test_of_two_long_lists_in_one_batch_each_gets_its_own_hubs(store: SqlStore) -> None:
    await stock(store, *(hub(number) for number in range(2 * BULK + 10)))
    lists = [numbers(range(first, first + BULK + 5)) for first in (0, BULK + 4)]
    async with store.begin() as work:
        await work.anticipate([Needs(hubs=each) for each in lists])
        answers = [await work.facts(Needs(hubs=each)) for each in lists]
    assert [set(each.hubs) for each in answers] == [set(lists[0]), set(lists[1])]


@pytest.mark.parametrize("position", [0, BULK])
async def test_a_list_that_is_sent_again_writes_what_differs(store: SqlStore, position: int) -> None:
    """Rows that are as they should be are not written anew; two that change places are."""
    listed = list(numbers(range(BULK + 1)))
    await stock(store, *(hub(number) for number in range(BULK + 1)))
    await create(store, CONSULTING)
    before = [NominationsReplaced(C1, ALICE, tuple(listed))]
    listed[0], listed[position] = listed[position], listed[0]
    async with store.begin() as work:
        await work.apply(before, CAUSE)
        await work.tell()
        with counting(store) as written:
            await work.apply([NominationsReplaced(C1, ALICE, tuple(listed))], CAUSE)
            await work.tell()
        await work.commit()
    assert sum(written) == (2 if position else 0)
    assert (await facts(store, user=ALICE, campaign=C1, own_lists=True)).own_lists.preferred == tuple(listed)


async def test_changes_that_were_kept_back_come_before_the_locks_of_throttles(store: SqlStore) -> None:
    """They may have to wait for locks, and nothing is locked after those."""
    async with store.begin() as work:
        with catching(store) as caught:
            await work.apply([CampaignSaved(campaign(), CampaignEvent.CREATED)], CAUSE)
            await work.throttles([ALICE])
        await work.commit()
    statements = [statement for statement, _ in caught]
    (created,) = (place for place, each in enumerate(statements) if each.startswith("INSERT INTO campaigns "))
    (locked,) = (place for place, each in enumerate(statements) if each.startswith("SELECT throttles"))
    assert created < locked


@contextmanager
def counting(store: SqlStore) -> Iterator[list[int]]:
    """Count the rows that statements write."""
    written: list[int] = []

    def count(_connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            written.append(context.rowcount)

    engine = store.database.engine.sync_engine
    event.listen(engine, "after_cursor_execute", count)
    try:
        yield written
    finally:
        event.remove(engine, "after_cursor_execute", count)
