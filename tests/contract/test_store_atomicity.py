"""The contract of every store: a transaction is all or nothing, alone, and racing writers do not harm each other."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from chfw_sr.campaign.changes import (
    ActivationsRecorded,
    CampaignEvent,
    CampaignSaved,
    DefaultListSet,
    NominationsReplaced,
    ParticipationSaved,
    PreferenceEvent,
    RankRange,
    SafeLaunchAllotted,
)
from chfw_sr.campaign.facts import Needs
from chfw_sr.campaign.model import Participation, Tally
from chfw_sr.messages import EUI, CampaignID, Phase
from chfw_sr.service.ports import Claimed, ClaimStatus, Store, Unavailable, UnitOfWork

from .makers import (
    ALICE,
    AT,
    BOB,
    C1,
    C2,
    CAROL,
    CAUSE,
    apply,
    campaign,
    claim,
    create,
    facts,
    found,
    hub,
    hub_eui,
    kinds,
    message,
    numbers,
    quarantined,
    record,
    result,
    stock,
    window,
)


class Accident(Exception):  # noqa: N818
    """What ends a transaction in the middle."""


async def everything(work: UnitOfWork) -> None:
    """Do everything that a unit of work can do, to hub 1, free, and hub 2, in campaign C1."""
    await work.claim([claim(1), claim(2)])
    await work.finish([record(claim(1)), record(claim(2))])
    await work.facts(Needs(campaign=C1, hubs=numbers([1, 2]), remaining=True))
    await work.apply(
        [
            CampaignSaved(campaign(C2), CampaignEvent.CREATED),
            CampaignSaved(campaign(results_reported=3), CampaignEvent.RESULTS_COUNTED),
            ParticipationSaved(Participation(C1, ALICE, 7), PreferenceEvent.INVITED),
            NominationsReplaced(C1, BOB, numbers([1])),
            ActivationsRecorded((result(2),)),
            SafeLaunchAllotted(C1, (RankRange(window(1), 0, 1),)),
        ],
        CAUSE,
    )
    await work.enqueue([message(await work.reserve(1))])
    await work.quarantine([quarantined()])


async def seen(store: Store) -> list[object]:
    """Give everything that the above changes."""
    known = await facts(store, campaign=C1, cells=True, plan=True, activations=((hub_eui(2), "2.0", AT),))
    return [
        known,
        await found(store, 1, 2),
        await kinds(store, 1),
        await kinds(store, 2),
        list(await store.queries.campaigns()),
        list(await store.queries.campaign_history(C1, 100)),
        list(await store.queries.campaign_history(C2, 100)),
        list(await store.queries.inbox(100)),
        list(await store.queries.outbox(None, 100)),
        list(await store.queries.quarantined(100)),
    ]


@pytest.fixture
async def planned(store: Store) -> Store:
    """Give a store in which campaign C1 holds hub 2."""
    await stock(store, hub(1), hub(2))
    await create(store)
    await apply(store, DefaultListSet(C1, {ALICE: numbers([2])}))
    return store


async def test_without_commit_nothing_happened(planned: Store) -> None:
    before = await seen(planned)
    async with planned.begin() as work:
        await everything(work)
    assert await seen(planned) == before


async def test_what_was_told_is_undone_without_commit_and_the_same_with_it(planned: Store) -> None:
    before = await seen(planned)
    async with planned.begin() as work:
        await everything(work)
        await work.tell()
        await work.tell()
    assert await seen(planned) == before
    async with planned.begin() as work:
        await everything(work)
        await work.tell()
        await work.commit()
    after = await seen(planned)
    assert all(changed != known for changed, known in zip(after, before, strict=True))


async def test_an_exception_undoes_everything_and_goes_on(planned: Store) -> None:
    before = await seen(planned)

    async def fails() -> None:
        async with planned.begin() as work:
            await everything(work)
            raise Accident

    with pytest.raises(Accident):
        await fails()
    assert await seen(planned) == before


async def test_cancellation_undoes_everything(planned: Store) -> None:
    before = await seen(planned)
    reached = asyncio.Event()

    async def stuck() -> None:
        async with planned.begin() as work:
            await everything(work)
            reached.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stuck())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await seen(planned) == before


async def test_commit_makes_everything_permanent(planned: Store) -> None:
    before = await seen(planned)
    async with planned.begin() as work:
        await everything(work)
        await work.commit()
    after = await seen(planned)
    assert all(one != other for one, other in zip(before, after, strict=True))


async def test_after_a_rollback_the_same_works_again(planned: Store) -> None:
    async with planned.begin() as work:
        await everything(work)
    async with planned.begin() as work:
        await everything(work)
        await work.commit()
    assert (await facts(planned, campaign=C1)).campaigns[C1].tallies == {Phase.SAFE_LAUNCH: Tally(1)}
    assert await kinds(planned, 1) == ["Nominated", "Allotted"]


async def test_a_unit_of_work_that_does_nothing(planned: Store) -> None:
    before = await seen(planned)
    async with planned.begin():
        pass
    async with planned.begin() as work:
        await work.commit()
    assert await seen(planned) == before


async def test_readers_see_only_what_is_committed(planned: Store) -> None:
    async with planned.begin() as work:
        await everything(work)
        assert await planned.queries.campaign(C2) is None
        assert list(await planned.queries.inbox(10)) == []
        assert list(await planned.queries.outbox(None, 10)) == []
        view = await planned.queries.hub(hub_eui(1))
        assert view is not None
        assert view.history == ()
        await work.commit()
    assert await planned.queries.campaign(C2) is not None
    assert len(await planned.queries.outbox(None, 10)) == 1


# -------------------------------------------------------------------------------------------------- defects of callers


async def test_only_what_was_claimed_here_can_be_finished(store: Store) -> None:
    async with store.begin() as work:
        await work.claim([claim(1)])
        await work.finish([record(claim(1))])
        for wrong in (claim(1), claim(1, "other"), claim(2)):
            with pytest.raises(RuntimeError):
                await work.finish([record(wrong)])
        await work.commit()
    async with store.begin() as work:
        await work.claim([claim(1)])
        with pytest.raises(RuntimeError):
            await work.finish([record(claim(1), b"again")])
    assert len(await store.queries.inbox(10)) == 1


async def test_after_commit_a_unit_of_work_is_over(store: Store) -> None:
    async with store.begin() as work:
        await work.commit()
        for call in (work.reserve(1), work.facts(Needs()), work.claim([]), work.commit()):
            with pytest.raises(RuntimeError):
                await call


@pytest.mark.parametrize("count", [0, -1])
async def test_no_ids_cannot_be_reserved(store: Store, count: int) -> None:
    async with store.begin() as work:
        with pytest.raises(ValueError, match="cannot reserve"):
            await work.reserve(count)


async def test_an_outbox_id_is_used_once(store: Store) -> None:
    async with store.begin() as work:
        first = await work.reserve(1)
        await work.enqueue([message(first)])
        await work.commit()

    async def again() -> None:
        async with store.begin() as work:
            await work.enqueue([message(first, octets=b"other")])
            await work.commit()

    with pytest.raises((RuntimeError, Unavailable)):
        await again()
    (entry,) = await store.queries.outbox(None, 10)
    assert entry.message == message(first)


async def test_a_replay_of_what_is_not_there_is_no_event(store: Store) -> None:
    await store.mark_replayed(17, AT)
    assert list(await store.queries.quarantined(10)) == []


# --------------------------------------------------------------------------------------------------------------- races


async def patiently(attempt: Callable[[], Awaitable[object]]) -> None:
    """Try again as long as a race is lost."""
    while True:
        try:
            await attempt()
        except Unavailable:
            await asyncio.sleep(0)
        else:
            return


async def nominate(store: Store, supplier: EUI, campaign_id: CampaignID, *wanted: int) -> None:
    """Nominate those of the hubs that nobody holds, as a decision would."""
    async with store.begin() as work:
        hubs = (await work.facts(Needs(campaign=campaign_id, hubs=numbers(wanted)))).hubs
        free = tuple(eui for eui in numbers(wanted) if hubs[eui].membership is None)
        await asyncio.sleep(0)
        await work.apply([NominationsReplaced(campaign_id, supplier, free)], CAUSE)
        await work.commit()


@pytest.mark.parametrize("campaigns", [(C1, C1), (C1, C2)], ids=["same campaign", "two campaigns"])
async def test_of_two_nominations_of_a_hub_the_first_stays(
    store: Store, campaigns: tuple[CampaignID, CampaignID]
) -> None:
    await stock(store, *(hub(number) for number in range(4)))
    await create(store, campaign(C1), campaign(C2))
    one, two = campaigns
    await asyncio.gather(
        patiently(lambda: nominate(store, ALICE, one, 0, 1, 2)),
        patiently(lambda: nominate(store, BOB, two, 3, 2, 1)),
    )
    places = [each.membership for each in await found(store, 0, 1, 2, 3)]
    owners = [place and place.nominated_by for place in places]
    assert owners in ([ALICE, ALICE, ALICE, BOB], [ALICE, BOB, BOB, BOB])
    assert [await kinds(store, number) for number in range(4)] == [["Nominated"]] * 4


async def test_a_second_writer_waits_for_a_locked_hub_or_is_turned_away(store: Store) -> None:
    await stock(store, hub(1))
    await create(store)
    async with store.begin() as first:
        await first.facts(Needs(campaign=C1, hubs=numbers([1])))
        second = asyncio.create_task(nominate(store, BOB, C1, 1))
        await asyncio.wait({second}, timeout=0.1)
        assert not second.done() or isinstance(second.exception(), Unavailable)
        await first.apply([NominationsReplaced(C1, ALICE, numbers([1]))], CAUSE)
        await first.commit()
    await asyncio.wait({second})
    assert second.exception() is None or isinstance(second.exception(), Unavailable)
    (one,) = await found(store, 1)
    assert one.membership is not None
    assert one.membership.nominated_by == ALICE


async def test_racing_counts_are_not_lost(store: Store) -> None:
    await create(store)

    async def count() -> None:
        async with store.begin() as work:
            known = (await work.facts(Needs(campaign=C1))).campaigns[C1].campaign
            await asyncio.sleep(0)
            more = campaign(results_reported=known.results_reported + 1)
            await work.apply([CampaignSaved(more, CampaignEvent.RESULTS_COUNTED)], CAUSE)
            await work.commit()

    await asyncio.gather(*(patiently(count) for _ in range(10)))
    assert (await facts(store, campaign=C1)).campaigns[C1].campaign.results_reported == 10


async def test_a_campaign_is_created_by_one_of_two(store: Store) -> None:
    async def attempt(model: str) -> str:
        async with store.begin() as work:
            if C1 in (await work.facts(Needs(campaign=C1))).campaigns:
                return "exists"
            await asyncio.sleep(0)
            await work.apply([CampaignSaved(campaign(model=model), CampaignEvent.CREATED)], CAUSE)
            await work.commit()
            return model

    answers = await asyncio.gather(attempt("one"), attempt("two"), return_exceptions=True)

    (created,) = [each for each in answers if each in ("one", "two")]
    (other,) = [each for each in answers if each not in ("one", "two")]
    assert other == "exists" or isinstance(other, Unavailable)
    assert [each.model for each in await store.queries.campaigns()] == [created]


async def test_racing_batches_over_the_same_hubs_all_get_through(store: Store) -> None:
    """Ten writers, each locking the same campaigns and hubs in another order: no deadlock, no loss."""
    await stock(store, *(hub(number) for number in range(20)))
    await create(store, campaign(C1), campaign(C2))
    await apply(
        store, DefaultListSet(C1, {ALICE: numbers(range(10))}), DefaultListSet(C2, {CAROL: numbers(range(10, 20))})
    )

    async def report(writer: int) -> None:
        order = list(range(20))[:: 1 if writer % 2 else -1]
        async with store.begin() as work:
            known = await work.facts(Needs(hubs=numbers(order), hub_campaigns=True))
            assert set(known.campaigns) == {C1, C2}
            version = f"3.{writer}"
            await work.apply(
                [
                    ActivationsRecorded(
                        tuple(result(n, version=version, campaign_id=C1 if n < 10 else C2) for n in order)
                    )
                ],
                CAUSE,
            )
            await work.commit()

    await asyncio.gather(*(patiently(lambda writer=writer: report(writer)) for writer in range(10)))
    assert {each.firmware_version for each in await found(store, *range(20))} < {f"3.{n}" for n in range(10)}
    assert (await kinds(store, 7)).count("Activated") == 10


async def test_readers_go_on_while_a_writer_is_at_work(store: Store) -> None:
    await create(store)
    async with store.begin() as work:
        answers: list[Claimed] = list(await work.claim([claim(1)]))
        assert [each.status for each in answers] == [ClaimStatus.NEW]
        async with asyncio.timeout(20):
            assert len(await store.queries.campaigns()) == 1
            assert list(await store.due_campaigns(AT, 10)) == []
            assert await store.register.trust_revision() >= 0
