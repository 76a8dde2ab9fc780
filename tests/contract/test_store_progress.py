"""The contract of every store: how a campaign goes, for people."""

from datetime import datetime, timedelta

from chfw_sr.campaign.changes import ActivationsRecorded, Lot, PilotAllotted
from chfw_sr.messages import EUI, Phase, Region
from chfw_sr.service.ports import FailuresByReason, HourOfResults, Progress, SilentHub, Store

from .makers import (
    ALICE,
    AT,
    BOB,
    C1,
    C2,
    FAILURE,
    HOUR,
    SUCCESS,
    apply,
    campaign,
    create,
    hub,
    hub_eui,
    result,
    stock,
    window,
)

FIRST, SECOND = window(1), window(2)
LATER = SECOND.end + HOUR


def hub_euis(*numbers: int) -> tuple[EUI, ...]:
    return tuple(map(hub_eui, numbers))


def hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def silent(number: int, supplier: EUI, at: datetime) -> SilentHub:
    return SilentHub(hub_eui(number), Phase.PILOT, supplier, Region.NORTH, at, at + HOUR)


async def allotted(store: Store) -> None:
    """A pilot of six hubs: Alice's 1 to 4 in the first window, Bob's 5 and 6 in the second."""
    await stock(store, *(hub(number, import_supplier=BOB if number > 4 else ALICE) for number in range(1, 7)))
    await create(store, campaign(C1), campaign(C2))
    lots = (Lot(ALICE, FIRST, hub_euis(1, 2, 3, 4)), Lot(BOB, SECOND, hub_euis(5, 6)))
    await apply(store, PilotAllotted(C1, lots))


async def test_a_campaign_without_results_has_silent_hubs_only(store: Store) -> None:
    await allotted(store)
    assert await store.queries.progress(C1, FIRST.start, 10) == Progress(
        silent=tuple(silent(number, ALICE, FIRST.start) for number in (1, 2, 3, 4))
    )
    before = FIRST.start - timedelta(microseconds=1)
    assert await store.queries.progress(C1, before, 10) == Progress()
    assert await store.queries.progress(C2, LATER, 10) == Progress()


async def test_results_are_counted_by_the_hour(store: Store) -> None:
    await allotted(store)
    at = hour(FIRST.start)
    reported = (
        result(1, at=at),
        result(2, at=at + HOUR - timedelta(microseconds=1)),
        result(3, FAILURE, at=at + HOUR),
        result(3, at=at + 2 * HOUR),
        result(3, FAILURE, at=at - HOUR, effective=False),
        result(4, at=at, campaign_id=None, phase=None),
    )
    await apply(store, ActivationsRecorded(reported))
    progress = await store.queries.progress(C1, LATER, 10)
    assert progress.hours == (
        HourOfResults(Phase.PILOT, at, SUCCESS, 2),
        HourOfResults(Phase.PILOT, at + HOUR, FAILURE, 1),
        HourOfResults(Phase.PILOT, at + 2 * HOUR, SUCCESS, 1),
    )
    assert [each.eui for each in progress.silent] == list(hub_euis(4, 5, 6))


async def test_failures_are_counted_by_reason(store: Store) -> None:
    await allotted(store)
    await apply(store, ActivationsRecorded(tuple(result(number, FAILURE, at=AT) for number in (1, 2, 5))))
    progress = await store.queries.progress(C1, LATER, 10)
    assert progress.failures == (FailuresByReason(Phase.PILOT, "no power", 3),)


async def test_no_more_is_listed_than_was_asked_for(store: Store) -> None:
    await allotted(store)
    progress = await store.queries.progress(C1, LATER, 5)
    assert progress.silent == (
        *(silent(number, ALICE, FIRST.start) for number in (1, 2, 3, 4)),
        silent(5, BOB, SECOND.start),
    )
