"""Answers to `Needs`, from the tables; each function answers one, by the words of its docstring in `campaign.facts`."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from chfw_sr.campaign.facts import Facts, Needs
from chfw_sr.campaign.model import (
    Campaign,
    CampaignFacts,
    Cell,
    Hub,
    Membership,
    OwnLists,
    Participation,
    PlanRow,
    Tally,
)
from chfw_sr.messages import EUI, MAX_DEVICE_LIST, CampaignID, HubStatus, Phase, Role

from .state import Row, State

_ROLES = (Role.IS, Role.GS, Role.ED, Role.GT)


def answer(state: State, needs: Needs, remaining: Mapping[EUI | None, int]) -> Facts:
    """Answer needs.

    Args:
        state: the tables.
        needs: what to look up.
        remaining: the answer to `Needs.remaining`, which the transaction must remember.
    """
    hubs = {eui: with_membership(state, state.hubs[eui]) for eui in needs.hubs if eui in state.hubs}
    user = state.users.get(needs.user) if needs.user else None
    campaign = state.campaigns.get(needs.campaign) if needs.campaign else None
    asked = Facts(
        user=user.user if user else None,
        operators=tuple(sorted(eui for eui, record in state.users.items() if Role.DCC in record.user.roles)),
        campaigns={each: _campaign(state, each, needs) for each in _campaigns(needs, hubs.values(), campaign)},
        hubs=hubs,
        recorded=frozenset(key for key in needs.activations if key in state.activations),
        remaining=remaining,
    )
    if campaign is None:
        return asked
    campaign_id = campaign.campaign_id
    return replace(
        asked,
        responsible=needs.responsible and needs.user is not None and _responsible(state, campaign, needs.user),
        own_lists=_own_lists(state, campaign_id, needs.user) if needs.own_lists and needs.user else OwnLists(),
        own_safe_launch=_own_safe_launch(state, campaign_id, needs.user) if needs.own_safe_launch else None,
        plan=_plan(state, campaign_id) if needs.plan else (),
        cells=campaign_cells(state, campaign_id) if needs.cells else (),
    )


def with_membership(state: State, hub: Hub) -> Hub:
    """Give a hub with its place in the live campaign that holds it."""
    campaign_id = state.holder(hub.eui)
    if campaign_id is None:
        return hub
    phase = Phase.SAFE_LAUNCH if (campaign_id, Phase.SAFE_LAUNCH, hub.eui) in state.rows else Phase.PILOT
    row = state.rows[campaign_id, phase, hub.eui]
    place = Membership(campaign_id, phase, row.default_supplier, row.nominated_by, row.cell is not None, row.outcome)
    return replace(hub, membership=place)


def campaign_participations(state: State, campaign_id: CampaignID) -> tuple[Participation, ...]:
    """Give the participations of a campaign in order of Supplier."""
    return tuple(
        participation for (owner, _), participation in sorted(state.participations.items()) if owner == campaign_id
    )


def campaign_cells(state: State, campaign_id: CampaignID) -> tuple[Cell, ...]:
    """Give the cells of a campaign."""
    return tuple(cell for key, cell in state.cells.items() if key[0] == campaign_id)


def campaign_rows(state: State, campaign_id: CampaignID, phase: Phase) -> list[tuple[EUI, Row]]:
    """Give the hubs of one phase of a campaign, in order of EUI."""
    return sorted(
        ((key[2], row) for key, row in state.rows.items() if key[0] == campaign_id and key[1] is phase),
        key=lambda item: item[0],
    )


def remaining_hubs(state: State, campaign_id: CampaignID) -> list[Hub]:
    """Give the target hubs that are left to activate and that no other live campaign holds, in order of EUI."""
    campaign = state.campaigns[campaign_id]
    return sorted(
        (
            hub
            for hub in state.hubs.values()
            if campaign.fits(hub)
            and hub.status is HubStatus.COMMISSIONED
            and state.holder(hub.eui) in (None, campaign_id)
        ),
        key=lambda hub: hub.eui,
    )


def by_lead_supplier(hubs: Iterable[Hub]) -> dict[EUI | None, int]:
    """Count hubs by lead Supplier."""
    return dict(Counter(hub.lead_supplier for hub in hubs))


def _campaigns(needs: Needs, hubs: Iterable[Hub], campaign: Campaign | None) -> list[CampaignID]:
    """Name the campaigns that needs ask for."""
    named = {campaign.campaign_id} if campaign else set()
    if needs.hub_campaigns:
        named |= {hub.membership.campaign_id for hub in hubs if hub.membership}
    return sorted(named)


def _campaign(state: State, campaign_id: CampaignID, needs: Needs) -> CampaignFacts:
    tallies: defaultdict[Phase, Tally] = defaultdict(Tally)
    for cell in campaign_cells(state, campaign_id):
        tally = tallies[cell.phase]
        tallies[cell.phase] = Tally(
            tally.devices + cell.devices, tally.activated + cell.activated, tally.failed + cell.failed
        )
    return CampaignFacts(
        campaign=state.campaigns[campaign_id],
        participations={
            each.supplier: each
            for each in campaign_participations(state, campaign_id)
            if needs.everybody or (campaign_id, each.supplier) == (needs.campaign, needs.user)
        },
        tallies=dict(tallies),
        complete=needs.everybody,
    )


def _responsible(state: State, campaign: Campaign, user: EUI) -> bool:
    """A hub that took the campaign's version within it was a target, and still counts as one."""
    return any(
        user in (hub.responsible(role) for role in _ROLES) and (campaign.fits(hub) or _took_part(state, campaign, hub))
        for hub in state.hubs.values()
    )


def _took_part(state: State, campaign: Campaign, hub: Hub) -> bool:
    return campaign.fits(replace(hub, firmware_version="")) and any(
        (campaign.campaign_id, phase, hub.eui) in state.rows for phase in Phase
    )


def _own_lists(state: State, campaign_id: CampaignID, user: EUI) -> OwnLists:
    default: list[tuple[int, EUI]] = []
    preferred: list[tuple[int, EUI]] = []
    confirmed: list[tuple[int, EUI]] = []
    for hub, row in campaign_rows(state, campaign_id, Phase.PILOT):
        if row.default_supplier == user and row.default_position is not None:
            default.append((row.default_position, hub))
        if row.nominated_by == user and row.nominated_position is not None:
            preferred.append((row.nominated_position, hub))
        if row.cell is not None and row.cell[2] == user:
            confirmed.append((row.place, hub))
    return OwnLists(_in_order(default), _in_order(preferred), _in_order(confirmed))


def _in_order(items: list[tuple[int, EUI]]) -> tuple[EUI, ...] | None:
    return tuple(hub for _, hub in sorted(items)) or None


def _own_safe_launch(state: State, campaign_id: CampaignID, user: EUI | None) -> tuple[EUI, ...] | None:
    own = tuple(
        hub
        for hub, row in campaign_rows(state, campaign_id, Phase.SAFE_LAUNCH)
        if row.cell is not None and row.cell[2] == user
    )
    return own if len(own) <= MAX_DEVICE_LIST else None


def _plan(state: State, campaign_id: CampaignID) -> tuple[PlanRow, ...]:
    return tuple(
        PlanRow(hub, row.default_supplier, row.default_position, row.nominated_by, row.nominated_position, row.outcome)
        for hub, row in campaign_rows(state, campaign_id, Phase.PILOT)
    )
