"""The contract of every store: queries for people, and what the clock has to do."""

from dataclasses import replace

from chfw_sr.campaign.changes import (
    CampaignEvent,
    CampaignSaved,
    DefaultListSet,
    Lot,
    ParticipationSaved,
    PilotAllotted,
    PreferenceEvent,
)
from chfw_sr.campaign.model import Participation, PhaseTimes
from chfw_sr.messages import Phase, Stage
from chfw_sr.service.ports import CampaignView, HubView, Store

from .makers import (
    ALICE,
    AT,
    BOB,
    C1,
    C2,
    CAUSE,
    DAY,
    HOUR,
    apply,
    campaign,
    cid,
    create,
    found,
    hub,
    hub_eui,
    numbers,
    stock,
    window,
)


async def test_an_empty_store_knows_nothing(store: Store) -> None:
    queries = store.queries
    assert list(await queries.campaigns()) == []
    assert await queries.campaign(C1) is None
    assert list(await queries.campaign_history(C1, 10)) == []
    assert await queries.hub(hub_eui(1)) is None
    assert list(await queries.inbox(10)) == []
    assert list(await queries.outbox(None, 10)) == []
    assert list(await queries.quarantined(10)) == []
    assert list(await store.due_campaigns(AT, 10)) == []
    assert await store.next_due() is None


async def test_campaigns_come_oldest_first(store: Store) -> None:
    each = [campaign(cid(name), created_at=AT - place * DAY) for place, name in enumerate("bca")]
    await create(store, *each)
    assert list(await store.queries.campaigns()) == each[::-1]


async def test_a_campaign_is_shown_with_parts_and_cells(store: Store) -> None:
    await stock(store, hub(1))
    await create(store, campaign(), campaign(C2))
    parts = [Participation(C1, ALICE, pilot_devices=1), Participation(C1, BOB, nominated_devices=0)]
    await apply(
        store,
        DefaultListSet(C1, {ALICE: numbers([1])}),
        PilotAllotted(C1, (Lot(ALICE, window(1), numbers([1])),)),
        *(ParticipationSaved(part, PreferenceEvent.PLAN_CONFIRMED) for part in reversed(parts)),
        ParticipationSaved(Participation(C2, ALICE), PreferenceEvent.INVITED),
    )
    view = await store.queries.campaign(C1)
    assert view is not None
    assert view.campaign == campaign()
    assert sorted(view.participations, key=lambda part: part.supplier) == parts
    assert [(cell.phase, cell.supplier, cell.devices) for cell in view.cells] == [(Phase.PILOT, ALICE, 1)]
    assert await store.queries.campaign(C2) == CampaignView(campaign(C2), (Participation(C2, ALICE),), ())


async def test_a_campaigns_history_is_the_newest_rows_oldest_first(store: Store) -> None:
    await stock(store, hub(1))
    await create(store)
    await apply(store, DefaultListSet(C1, {ALICE: numbers([1])}))
    for number in range(4):
        counted = replace(campaign(), results_reported=number)
        await apply(store, CampaignSaved(counted, CampaignEvent.RESULTS_COUNTED, f"reason {number}"))
    rows = await store.queries.campaign_history(C1, 3)
    assert [row.detail["reason"] for row in rows] == ["reason 1", "reason 2", "reason 3"]
    every = await store.queries.campaign_history(C1, 100)
    assert [row.kind for row in every] == ["CampaignCreated", *["ResultsCounted"] * 4]


async def test_a_hub_is_shown_with_its_place(store: Store) -> None:
    await stock(store, hub(1), hub(2))
    await create(store)
    await apply(store, DefaultListSet(C1, {ALICE: numbers([1])}))
    view = await store.queries.hub(hub_eui(1))
    assert view is not None
    assert [view.hub] == await found(store, 1)
    assert view.hub.membership is not None
    assert await store.queries.hub(hub_eui(2)) == HubView(hub(2), (), ())


# --------------------------------------------------------------------------------------------------------------- clock


def consulting(name: str, hours: int):
    return campaign(cid(name), stage=Stage.PILOT_CONSULTATION, response_deadline=AT + hours * HOUR)


async def test_due_campaigns_come_longest_due_first(store: Store) -> None:
    await create(store, consulting("late", 3), consulting("first", 1), consulting("second", 2), campaign(C1))
    at = AT + 2 * HOUR
    assert list(await store.due_campaigns(at, 10)) == ["first", "second"]
    assert list(await store.due_campaigns(at, 1)) == ["first"]
    assert list(await store.due_campaigns(AT, 10)) == []
    assert await store.next_due() == AT + HOUR


async def test_what_is_due_moves_with_the_campaign(store: Store) -> None:
    await create(store, consulting("one", 1))
    confirmed = replace(
        consulting("one", 1), stage=Stage.PILOT_CONFIRMED, pilot=PhaseTimes(starts_at=AT + DAY, ends_at=AT + 2 * DAY)
    )
    await apply(store, CampaignSaved(confirmed, CampaignEvent.STAGE_CHANGED))
    assert await store.next_due() == AT + DAY
    assert list(await store.due_campaigns(AT + 2 * HOUR, 10)) == []

    running = replace(confirmed, stage=Stage.PILOT, next_status_at=AT + 30 * HOUR)
    await apply(store, CampaignSaved(running, CampaignEvent.STAGE_CHANGED))
    assert await store.next_due() == AT + 30 * HOUR

    paused = replace(running, stage=Stage.PAUSED, paused_from=Stage.PILOT, paused_at=AT)
    await apply(store, CampaignSaved(paused, CampaignEvent.STAGE_CHANGED))
    assert await store.next_due() is None


async def test_a_rollback_makes_nothing_due(store: Store) -> None:
    async with store.begin() as work:
        await work.apply([CampaignSaved(consulting("one", 1), CampaignEvent.CREATED)], CAUSE)
    assert await store.next_due() is None
