"""Twin equality: whatever lawful sequence of transactions, the SQL stores and the one in memory know the same.

The twin in memory tells what is lawful next (which hubs are free, what remains), so the sequences stay within what
decisions may ask for: a hub has one live campaign, a Supplier nominates what is free, lots follow the plan.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import Phase as Effort
from hypothesis import strategies as st

from chfw_sr.campaign.allotment import allot, allot_ranks
from chfw_sr.campaign.changes import (
    ActivationsRecorded,
    CampaignEvent,
    CampaignSaved,
    Change,
    DefaultListSet,
    NominationsReplaced,
    ParticipationSaved,
    PilotAllotted,
    PreferenceEvent,
    SafeLaunchAllotted,
)
from chfw_sr.campaign.facts import Facts, Needs
from chfw_sr.campaign.model import Campaign, Hub, Participation, PhaseTimes, Tally
from chfw_sr.messages import EUI, ActivationResult, CampaignID, HubStatus, Phase, Region, Role, Stage
from chfw_sr.service.ports import Cause, ClaimStatus, HistoryRow, OutboxStatus, Store, UnitOfWork, UserRecord
from chfw_sr.storage.memory import MemoryStore
from chfw_sr.storage.store import create_store

from .conftest import FreshDatabase
from .makers import (
    ALICE,
    AT,
    BOB,
    C1,
    C2,
    CAROL,
    EDWIN,
    GINA,
    HOUR,
    NEW,
    OLD,
    OPERATOR,
    campaign,
    chunks,
    claim,
    hub,
    message,
    numbers,
    quarantined,
    record,
    request_id,
    result,
    user,
    window,
)

HUBS = range(10)
SUPPLIERS = (ALICE, BOB, CAROL)
CAMPAIGNS = (C1, C2)
SCHEDULE = (window(2), window(1, max_devices=2))
LEASE = 60.0
STEPS = 12

suppliers = st.sampled_from([ALICE, BOB, CAROL, None])
stocked = st.builds(
    hub,
    st.sampled_from(HUBS),
    firmware_version=st.sampled_from([OLD, OLD, OLD, NEW]),
    region=st.sampled_from(Region),
    status=st.sampled_from([HubStatus.COMMISSIONED, HubStatus.COMMISSIONED, HubStatus.SUSPENDED]),
    import_supplier=suppliers,
    gas_supplier=suppliers,
    electricity_distributor=st.sampled_from([None, EDWIN]),
    gas_transporter=st.sampled_from([None, GINA]),
)


@dataclass(repr=False)
class Play:
    """One sequence of transactions, played on several stores at once.

    Attributes:
        clock: hours since the beginning; also numbers the requests.
        works: the transaction that is open on each store, while one is.
    """

    draw: Any
    stores: Sequence[Store]
    clock: int = 0
    token: int = 0
    works: list[UnitOfWork] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"at {self.clock}"

    @property
    def now(self) -> datetime:
        return AT + self.clock * HOUR

    async def facts(self, **needs: Any) -> Facts:
        """Ask the twin in memory: the transaction that is open, if one is."""
        if self.works:
            return await self.works[0].facts(Needs(**needs))
        async with self.stores[0].begin() as work:
            return await work.facts(Needs(**needs))

    async def step(self) -> None:
        self.clock += 1
        await self.draw(st.sampled_from([*[self.transaction] * 8, self.inventory, self.register, self.outbox]))()

    async def inventory(self) -> None:
        await self.import_hubs(self.draw(st.lists(st.lists(stocked, max_size=3), max_size=2)))

    async def import_hubs(self, hubs: Sequence[Sequence[Hub]]) -> None:
        counts = [await each.register.import_hubs(chunks(*hubs), self.now) for each in self.stores]
        assert len(set(counts)) == 1

    async def register(self) -> None:
        roles = self.draw(st.frozensets(st.sampled_from([Role.IS, Role.DCC, Role.CSP]), min_size=1))
        record = UserRecord(user(self.draw(st.sampled_from([*SUPPLIERS, OPERATOR])), *roles))
        for each in self.stores:
            await each.register.save_users([record], self.now)

    async def outbox(self) -> None:
        """Claim some, mark some; by message id, since the ids of two stores differ."""
        self.token += 1
        limit = self.draw(st.integers(0, 3))
        ending = self.draw(st.sampled_from([*OutboxStatus][:1] + [*OutboxStatus][2:]))
        marked = self.draw(st.sets(st.integers(0, 2)))
        old = self.draw(st.booleans())
        answers = []
        for each in self.stores:
            claimed = await each.outbox.claim(f"t{self.token}", limit, self.now, LEASE)
            some = [one for place, one in enumerate(claimed) if place in marked]
            count = await each.outbox.mark(f"t{self.token}", some, ending, self.now)
            purged = await each.outbox.purge(self.now, 100) if old else 0
            answers.append((([one.message_id for one in claimed]), count, purged))
        assert all(answer == answers[0] for answer in answers)

    async def transaction(self) -> None:
        """Do a batch of lawful pieces of work on every store, then commit or roll back everywhere."""
        commit = self.draw(st.integers(0, 4)) > 0
        async with AsyncExitStack() as stack:
            self.works = [await stack.enter_async_context(each.begin()) for each in self.stores]
            for _ in range(self.draw(st.integers(1, 4))):
                self.clock += 1
                await self.piece()
            if commit:
                for each in self.works:
                    await each.commit()
        self.works = []

    async def piece(self) -> None:
        """Draw one lawful piece of work, and do it in every transaction."""
        changes = await self.draw(st.sampled_from(await self.possible()))()
        for change in changes:
            event(f"{type(change).__name__}, {'empty' if _is_empty(change) else 'something'}")
        originator = self.draw(st.sampled_from(SUPPLIERS))
        cause = Cause(self.now, self.draw(st.sampled_from([None, request_id(self.clock, originator)])))
        claimed = claim(self.draw(st.integers(1, 4)), self.draw(st.sampled_from("ab")))
        posts = self.draw(st.integers(0, 3))
        needs = [each for change in changes for each in _needs(change)] if self.draw(st.booleans()) else []
        told = [await self.work(each, changes, cause, claimed, posts, needs) for each in self.works]
        assert all(each == told[0] for each in told)

    async def possible(self) -> list[Callable[[], Awaitable[list[Change]]]]:
        """Name what may be done in the stages that the campaigns are in, with what leads on named more than once."""
        known = [await self.known(each) for each in CAMPAIGNS]
        stages = {each.stage for each in known if each}
        next_steps = {
            Stage.DRAFT: [self.publish] * 3,
            Stage.PILOT_CONSULTATION: [self.nominate] * 3 + [self.withdraw] + [self.confirm] * 2,
            Stage.PILOT_COMPLETE: [self.launch] * 2,
        }
        steps = [step for stage, steps in next_steps.items() if stage in stages for step in steps]
        return steps + [self.report] * 3 + [self.create] * (3 if None in known else 0) + [self.end]

    async def work(
        self, work: UnitOfWork, changes: Sequence[Change], cause: Cause, claimed, posts: int, needs: Sequence[Needs]
    ) -> Any:
        """Do it, with the needs asked for before and after; give what was answered."""
        await work.anticipate(needs)
        before = [_comparable(await work.facts(each)) for each in needs]
        (answer,) = await work.claim([claimed])
        if any(isinstance(change, SafeLaunchAllotted) for change in changes):
            await work.facts(Needs(campaign=changes[0].campaign_id, remaining=True))  # type: ignore[union-attr]
        await work.apply(changes, cause)
        if answer.status is not ClaimStatus.REPEAT:
            await work.finish([record(claimed, b"%d" % self.clock, at=self.now)])
        if posts:
            first = await work.reserve(posts)
            await work.enqueue([message(first + n, message_id=f"{self.clock}.{n}") for n in range(posts)])
            await work.quarantine([quarantined(b"%d" % self.clock, received_at=self.now)])
        return answer, before, [_comparable(await work.facts(each)) for each in needs]

    # ------------------------------------------------------------------------------------------------ lawful changes

    async def known(self, campaign_id: CampaignID) -> Campaign | None:
        found = (await self.facts(campaign=campaign_id)).campaigns.get(campaign_id)
        return found.campaign if found else None

    async def chosen(self, *stages: Stage) -> Campaign | None:
        known = [await self.known(each) for each in CAMPAIGNS]
        fitting = [each for each in known if each and each.stage in stages]
        return self.draw(st.sampled_from(fitting)) if fitting else None

    async def free(self, campaign_id: CampaignID, supplier: EUI | None = None) -> list[Hub]:
        """Give hubs that this campaign may take: no other holds them, and no other Supplier nominated them."""
        hubs = (await self.facts(hubs=numbers(HUBS))).hubs.values()
        return [
            each
            for each in hubs
            if each.membership is None
            or (each.membership.campaign_id == campaign_id and each.membership.nominated_by in (None, supplier))
        ]

    def moved(self, before: Campaign, stage: Stage, **fields: Any) -> CampaignSaved:
        return CampaignSaved(replace(before, stage=stage, **fields), CampaignEvent.STAGE_CHANGED, f"at {self.clock}")

    async def create(self) -> list[Change]:
        missing = [each for each in CAMPAIGNS if await self.known(each) is None]
        regions = frozenset(Region) - self.draw(st.frozensets(st.sampled_from(Region), max_size=1))
        return [
            CampaignSaved(campaign(each, regions=regions, created_at=self.now), CampaignEvent.CREATED)
            for each in missing[:1]
        ]

    async def publish(self) -> list[Change]:
        before = await self.chosen(Stage.DRAFT)
        if before is None:
            return []
        parts: dict[EUI, tuple[EUI, ...]] = {}
        for each in self.draw(st.permutations(await self.free(before.campaign_id))):
            if each.lead_supplier is not None and self.draw(st.integers(0, 2)):
                parts[each.lead_supplier] = (*parts.get(each.lead_supplier, ()), each.eui)
        return [
            DefaultListSet(before.campaign_id, parts),
            *(
                ParticipationSaved(Participation(before.campaign_id, eui, len(part)), PreferenceEvent.INVITED)
                for eui, part in parts.items()
            ),
            self.moved(before, Stage.PILOT_CONSULTATION, default_schedule=SCHEDULE, response_deadline=self.now + HOUR),
        ]

    async def nominate(self) -> list[Change]:
        before = await self.chosen(Stage.PILOT_CONSULTATION)
        if before is None:
            return []
        supplier = self.draw(st.sampled_from(SUPPLIERS))
        free = [each.eui for each in await self.free(before.campaign_id, supplier)]
        wanted = tuple(self.draw(st.permutations(free)))[: self.draw(st.integers(1, 6))]
        part = Participation(before.campaign_id, supplier, nominated_devices=len(wanted), preferred_schedule=SCHEDULE)
        return [
            NominationsReplaced(before.campaign_id, supplier, wanted),
            ParticipationSaved(part, PreferenceEvent.PREFERENCES_UPDATED),
        ]

    async def withdraw(self) -> list[Change]:
        before = await self.chosen(Stage.PILOT_CONSULTATION)
        if before is None:
            return []
        supplier = self.draw(st.sampled_from(SUPPLIERS))
        part = ParticipationSaved(Participation(before.campaign_id, supplier), PreferenceEvent.PREFERENCES_DELETED)
        return [NominationsReplaced(before.campaign_id, supplier, ()), part]

    async def confirm(self) -> list[Change]:
        before = await self.chosen(Stage.PILOT_CONSULTATION)
        if before is None:
            return []
        plan = (await self.facts(campaign=before.campaign_id, plan=True)).plan
        lots = []
        for supplier in SUPPLIERS:
            preferred = sorted((r.nominated_position or 0, r.hub) for r in plan if r.nominated_by == supplier)
            default = sorted(
                (r.default_position or 0, r.hub) for r in plan if r.default_supplier == supplier and not r.nominated_by
            )
            lots += allot(supplier, SCHEDULE, [eui for _, eui in preferred or default])
        times = PhaseTimes(self.now + HOUR, self.now + 2 * HOUR)
        return [PilotAllotted(before.campaign_id, tuple(lots)), self.moved(before, Stage.PILOT_COMPLETE, pilot=times)]

    async def launch(self) -> list[Change]:
        before = await self.chosen(Stage.PILOT_COMPLETE)
        if before is None:
            return []
        remaining = (await self.facts(campaign=before.campaign_id, remaining=True)).remaining
        ranges = allot_ranks(SCHEDULE, sum(remaining.values()))
        times = PhaseTimes(self.now + HOUR, self.now + 2 * HOUR)
        return [
            SafeLaunchAllotted(before.campaign_id, ranges),
            self.moved(before, Stage.SAFE_LAUNCH_SCHEDULED, safe_launch_schedule=SCHEDULE, safe_launch=times),
        ]

    async def report(self) -> list[Change]:
        """Report results, as a decision would: effective if newer, within the campaign if that holds the hub."""
        hubs = (await self.facts(hubs=numbers(HUBS))).hubs
        results = []
        newest = {eui: each.last_activation_at for eui, each in hubs.items()}
        for place, number in enumerate(self.draw(st.lists(st.sampled_from(HUBS), min_size=1, max_size=5))):
            (eui,) = numbers([number])
            if eui not in hubs:
                continue
            hours = self.draw(st.integers(-3, 0))
            at = self.now + hours * HOUR + place * (HOUR / 1000)
            version = self.draw(st.sampled_from([OLD, NEW]))
            if (await self.facts(activations=((eui, version, at),))).recorded:
                continue
            known = newest[eui]
            effective = known is None or at > known
            place_in = hubs[eui].membership
            results.append(
                result(
                    number,
                    self.draw(st.sampled_from(ActivationResult)),
                    at=at,
                    version=version,
                    campaign_id=place_in.campaign_id if place_in else None,
                    phase=place_in.phase if place_in else None,
                    effective=effective,
                )
            )
            newest[eui] = at if effective else known
        return [ActivationsRecorded(tuple(results))]

    async def end(self) -> list[Change]:
        before = await self.chosen(*Stage)
        if before is None:
            return []
        return [self.moved(before, self.draw(st.sampled_from([Stage.COMPLETE, Stage.ABORTED])), ended_at=self.now)]

    # -------------------------------------------------------------------------------------------------------- seeing

    async def compare(self) -> None:
        """Everything that can be seen is the same."""
        seen = [await _seen(each, self.now) for each in self.stores]
        for other in seen[1:]:
            for name, value in seen[0].items():
                assert other[name] == value, f"{name}: {other[name]} != {value}"


def _needs(change: Change) -> list[Needs]:
    """What a decision would have asked for that leads to a change, and what it changes."""
    match change:
        case CampaignSaved():
            own = Needs(campaign=change.campaign.campaign_id, cells=True)
            return [own, replace(own, everybody=True)]
        case ParticipationSaved():
            part = change.participation
            return [Needs(user=part.supplier, campaign=part.campaign_id, responsible=True, own_lists=True)]
        case NominationsReplaced():
            own = Needs(user=change.supplier, campaign=change.campaign_id, responsible=True)
            return [replace(own, hubs=change.hubs), own, replace(own, own_lists=True)]
        case ActivationsRecorded():
            hubs = tuple({each.activation.device_id: None for each in change.activations})
            keys = tuple(
                (a.device_id, a.firmware_version, a.at) for a in (each.activation for each in change.activations)
            )
            return [Needs(hubs=hubs, hub_campaigns=True, activations=keys)]
        case _:
            return []


def _is_empty(change: Change) -> bool:
    match change:
        case DefaultListSet():
            return not change.parts
        case NominationsReplaced():
            return not change.hubs
        case PilotAllotted():
            return not change.lots
        case SafeLaunchAllotted():
            return not change.ranges
        case ActivationsRecorded():
            return not change.activations
        case _:
            return False


def _comparable(facts: Facts) -> Facts:
    campaigns = {
        campaign_id: replace(known, tallies={phase: known.tallies.get(phase, Tally()) for phase in Phase})
        for campaign_id, known in facts.campaigns.items()
    }
    return replace(
        facts,
        campaigns=campaigns,
        cells=tuple(sorted(facts.cells, key=repr)),
        plan=tuple(sorted(facts.plan, key=lambda row: row.hub)),
    )


def _row(row: HistoryRow) -> tuple[object, ...]:
    return (row.at, row.kind, row.campaign_id, row.user, row.hub, row.request_id)


async def _seen(store: Store, now: datetime) -> dict[str, object]:
    seen: dict[str, object] = {}
    async with store.begin() as work:
        of_hubs = Needs(hubs=numbers(HUBS), hub_campaigns=True)
        seen["hubs"] = _comparable(await work.facts(of_hubs))
        seen["everybody with hubs"] = _comparable(await work.facts(replace(of_hubs, everybody=True)))
        for campaign_id in CAMPAIGNS:
            everything = Needs(campaign=campaign_id, everybody=True, plan=True, remaining=True, cells=True)
            seen[f"{campaign_id}"] = _comparable(await work.facts(everything))
            for eui in (*SUPPLIERS, EDWIN, GINA, OPERATOR):
                own = Needs(user=eui, campaign=campaign_id, responsible=True, own_lists=True, own_safe_launch=True)
                seen[f"{campaign_id} {eui}"] = _comparable(await work.facts(own))
    for campaign_id in CAMPAIGNS:
        seen[f"history {campaign_id}"] = [_row(row) for row in await store.queries.campaign_history(campaign_id, 1000)]
        view = await store.queries.campaign(campaign_id)
        seen[f"view {campaign_id}"] = view and (view.campaign, view.participations, set(view.cells))
    for eui in numbers(HUBS):
        hub_view = await store.queries.hub(eui)
        seen[f"hub {eui}"] = hub_view and (hub_view.hub, list(map(_row, hub_view.history)), hub_view.activations)
    seen["campaigns"] = list(await store.queries.campaigns())
    seen["inbox"] = list(await store.queries.inbox(1000))
    posts = await store.queries.outbox(None, 1000)
    seen["outbox"] = [(each.message.message_id, each.status, each.attempts) for each in posts]
    seen["quarantine"] = [each.octets for each in await store.queries.quarantined(1000)]
    seen["users"] = list(await store.register.users())
    seen["due"] = list(await store.due_campaigns(now, 10)), await store.next_due()
    return seen


@pytest.mark.slow
@settings(
    max_examples=15,
    deadline=None,
    phases=[Effort.generate],  # shrinking takes many minutes; a failing sequence is short enough to read
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_sql_and_memory_know_the_same(data: st.DataObject, fresh_database: FreshDatabase) -> None:
    async def play(url: str) -> None:
        sql = create_store(url)
        try:
            stage = Play(data.draw, [MemoryStore(), sql])
            await stage.import_hubs([[replace(data.draw(stocked), eui=each) for each in numbers(HUBS)]])
            for _ in range(STEPS):
                await stage.step()
            await stage.compare()
        finally:
            await sql.close()

    with fresh_database() as url:
        asyncio.run(play(url))
