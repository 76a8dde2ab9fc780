"""What happens at the response deadline: the plan is confirmed and allotted (wire contract §3).

A Supplier's Preferred Pilot List stands in place of its part of the default list; a hub that another Supplier nominated
is taken out of the default part. What no list holds any more is let go.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from chfw_sr.messages import EUI, Alert, PilotPlanConfirmed, Source, Window

from .allotment import allot
from .changes import CampaignEvent, CampaignSaved, Lot, ParticipationSaved, PilotAllotted, PreferenceEvent
from .decision import Decision, Policy
from .facts import Facts
from .model import Campaign, CampaignFacts, Participation, PhaseTimes, PlanRow
from .notices import stage_changed
from .transitions import Event, advance

_REASON = "The response deadline passed."


@dataclass(frozen=True, slots=True)
class _Share:
    """One Supplier's confirmed plan."""

    part: Participation
    hubs: tuple[EUI, ...]
    schedule: tuple[Window, ...]

    def alert(self) -> Alert:
        part = self.part
        body = PilotPlanConfirmed(
            campaign_id=part.campaign_id,
            pilot_list=self.hubs,
            schedule=self.schedule,
            list_source=Source.DEFAULT if part.nominated_devices is None else Source.PREFERRED,
            schedule_source=Source.DEFAULT if part.preferred_schedule is None else Source.PREFERRED,
        )
        return Alert(recipient=part.supplier, body=body)


def confirm(facts: Facts, found: CampaignFacts, now: datetime, policy: Policy) -> Decision:
    """Confirm the plan of a campaign whose response deadline has passed.

    Args:
        facts: with the plan.
        found: the campaign, in `PilotConsultation`.
        now: when the step is taken.
        policy: the settings that decisions depend on.

    Returns:
        The decision. If no hub is left in the plan, the pilot still runs its way over the default schedule, without
        hubs; nothing is reported as done.

    Raises:
        ValueError: if the facts hold no plan though the Suppliers' parts count hubs; they were loaded for another step.

    Source: wire contract §3 and §5 (N905).
    """
    before = found.campaign
    if not facts.plan and any(each.default_devices or each.nominated_devices for each in found.everybody.values()):
        raise ValueError(f"the plan of campaign {before.campaign_id} was not loaded")
    shares = _shares(facts.plan, found)
    lots = tuple(lot for each in shares for lot in allot(each.part.supplier, each.schedule, each.hubs))
    after = replace(advance(before, Event.DEADLINE_PASSED, now, policy), pilot=_times(before, lots, facts.plan))
    return Decision(
        changes=(
            PilotAllotted(before.campaign_id, lots),
            *(ParticipationSaved(each.part, PreferenceEvent.PLAN_CONFIRMED) for each in shares),
            CampaignSaved(after, CampaignEvent.STAGE_CHANGED, _REASON),
        ),
        alerts=(
            *(each.alert() for each in shares if each.hubs),
            *stage_changed(before, after, _REASON, found.everybody, facts.operators),
        ),
    )


def _shares(plan: Iterable[PlanRow], found: CampaignFacts) -> list[_Share]:
    """Give each Supplier its list and schedule, in order of EUI; a list may be empty."""
    lists: defaultdict[EUI, list[tuple[int, EUI]]] = defaultdict(list)
    for row in plan:
        if row.nominated_by is not None:
            lists[row.nominated_by].append((row.nominated_position or 0, row.hub))
        elif row.default_supplier is not None and found.everybody[row.default_supplier].nominated_devices is None:
            lists[row.default_supplier].append((row.default_position or 0, row.hub))
    shares = []
    for supplier, part in sorted(found.everybody.items()):
        hubs = tuple(hub for _, hub in sorted(lists[supplier]))
        schedule = part.preferred_schedule or found.campaign.default_schedule or ()
        shares.append(_Share(replace(part, pilot_devices=len(hubs)), hubs, schedule))
    return shares


def _times(campaign: Campaign, lots: tuple[Lot, ...], plan: Iterable[PlanRow]) -> PhaseTimes:
    windows = [lot.window for lot in lots] or list(campaign.default_schedule or ())
    outcomes = {row.hub: row.outcome for row in plan}
    return PhaseTimes(
        starts_at=min(window.start for window in windows),
        ends_at=max(window.end for window in windows),
        all_reported=bool(lots) and all(outcomes[hub] is not None for lot in lots for hub in lot.hubs),
    )
