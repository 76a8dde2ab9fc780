"""Carries out changes, by the words of their docstrings in `campaign.changes`, and writes the history from them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import singledispatch

from chfw_sr.campaign.changes import (
    ActivationsRecorded,
    CampaignEvent,
    CampaignSaved,
    Change,
    DefaultListSet,
    NominationsReplaced,
    ParticipationSaved,
    PilotAllotted,
    RecordedActivation,
    SafeLaunchAllotted,
)
from chfw_sr.campaign.model import Cell, Hub
from chfw_sr.messages import EUI, ActivationResult, CampaignID, Phase, Window, instant_text
from chfw_sr.service.ports import ActivationRow, Cause, Unavailable

from .facts import campaign_rows, remaining_hubs
from .state import CellKey, Row, State

Remaining = Mapping[CampaignID, Sequence[EUI]]
"""The hubs, in order of EUI, that `Facts.remaining` counted in this transaction."""


def carry_out(state: State, change: Change, cause: Cause, remaining: Remaining) -> None:
    """Carry out one change.

    Args:
        state: the draft of the transaction.
        change: what to do.
        cause: what to write to the history beside it.
        remaining: what was counted for a Safe Launch.

    Raises:
        Unavailable: if a campaign that is to be created exists: another writer was faster.
    """
    if isinstance(change, SafeLaunchAllotted):
        _safe_launch_allotted(state, change, cause, remaining)
    else:
        _carry_out(change, state, cause)


@singledispatch
def _carry_out(change: object, state: State, cause: Cause) -> None:  # noqa: ARG001 - the signature of all below
    raise TypeError(f"not a change: {change!r}")


@_carry_out.register
def _(change: CampaignSaved, state: State, cause: Cause) -> None:
    campaign = change.campaign
    if change.event is CampaignEvent.CREATED and campaign.campaign_id in state.campaigns:
        raise Unavailable(f"campaign {campaign.campaign_id} exists already")
    state.campaigns[campaign.campaign_id] = campaign
    state.write(
        cause.at,
        change.event,
        cause.request_id,
        campaign_id=campaign.campaign_id,
        stage=campaign.stage,
        reason=change.reason,
    )


@_carry_out.register
def _(change: ParticipationSaved, state: State, cause: Cause) -> None:
    part = change.participation
    state.participations[part.campaign_id, part.supplier] = part
    state.write(cause.at, change.event, cause.request_id, campaign_id=part.campaign_id, user=part.supplier)


@_carry_out.register
def _(change: DefaultListSet, state: State, cause: Cause) -> None:
    for supplier, hubs in change.parts.items():
        for position, hub in enumerate(hubs):
            row = _hold(state, change.campaign_id, Phase.PILOT, hub)
            row = replace(row, default_supplier=supplier, default_position=position)
            state.rows[change.campaign_id, Phase.PILOT, hub] = row
            _write_hub(state, cause, "DefaultListed", change.campaign_id, hub, supplier)


@_carry_out.register
def _(change: NominationsReplaced, state: State, cause: Cause) -> None:
    before = {
        hub: row
        for hub, row in campaign_rows(state, change.campaign_id, Phase.PILOT)
        if row.nominated_by == change.supplier
    }
    for hub in sorted(before.keys() - set(change.hubs)):
        row = replace(before[hub], nominated_by=None, nominated_position=None)
        if row.default_supplier is None:
            del state.rows[change.campaign_id, Phase.PILOT, hub]
            state.holders.pop(hub, None)
        else:
            state.rows[change.campaign_id, Phase.PILOT, hub] = row
        _write_hub(state, cause, "NominationWithdrawn", change.campaign_id, hub, change.supplier)
    for position, hub in enumerate(change.hubs):
        row = _hold(state, change.campaign_id, Phase.PILOT, hub)
        row = replace(row, nominated_by=change.supplier, nominated_position=position)
        state.rows[change.campaign_id, Phase.PILOT, hub] = row
        if hub not in before:
            _write_hub(state, cause, "Nominated", change.campaign_id, hub, change.supplier)


@_carry_out.register
def _(change: PilotAllotted, state: State, cause: Cause) -> None:
    places: dict[EUI, int] = {}
    allotted: set[EUI] = set()
    for lot in change.lots:
        for hub in lot.hubs:
            places[lot.supplier] = place = places.get(lot.supplier, 0) + 1
            key = _cell_key(change.campaign_id, Phase.PILOT, lot.supplier, state.hubs[hub], lot.window)
            _allot(state, key, hub, place, cause)
        allotted.update(lot.hubs)
    for hub, _row in campaign_rows(state, change.campaign_id, Phase.PILOT):
        if hub not in allotted:
            state.holders.pop(hub, None)
            _write_hub(state, cause, "LetGo", change.campaign_id, hub, None)


def _safe_launch_allotted(state: State, change: SafeLaunchAllotted, cause: Cause, remaining: Remaining) -> None:
    hubs = remaining.get(change.campaign_id)
    if hubs is None:
        hubs = [hub.eui for hub in remaining_hubs(state, change.campaign_id)]
    for each in change.ranges:
        for place, eui in enumerate(hubs[each.first : each.last], each.first):
            hub = state.hubs[eui]
            key = _cell_key(change.campaign_id, Phase.SAFE_LAUNCH, hub.lead_supplier, hub, each.window)
            _allot(state, key, eui, place, cause)


@_carry_out.register
def _(change: ActivationsRecorded, state: State, cause: Cause) -> None:
    for recorded in change.activations:
        _record(state, recorded, cause)


def _record(state: State, recorded: RecordedActivation, cause: Cause) -> None:
    activation = recorded.activation
    hub, campaign_id = activation.device_id, recorded.campaign_id
    succeeded = activation.result is ActivationResult.SUCCESS
    state.activations[hub, activation.firmware_version, activation.at] = ActivationRow(
        hub=hub,
        firmware_version=activation.firmware_version,
        at=activation.at,
        result=activation.result,
        failure_reason=activation.failure_reason,
        campaign_id=campaign_id,
        effective=recorded.effective,
        request_id=None if cause.request_id is None else str(cause.request_id),
        phase=recorded.phase,
    )
    state.write(
        cause.at,
        "Activated" if succeeded else "ActivationFailed",
        cause.request_id,
        campaign_id=campaign_id,
        hub=hub,
        firmware_version=activation.firmware_version,
        activated_at=instant_text(activation.at),
        failure_reason=activation.failure_reason,
    )
    if not recorded.effective:
        return
    known = state.hubs[hub]
    version = activation.firmware_version if succeeded else known.firmware_version
    state.hubs[hub] = replace(known, firmware_version=version, last_activation_at=activation.at)
    if campaign_id is not None and recorded.phase is not None:
        _count(state, campaign_id, recorded.phase, hub, activation.result)


def _count(state: State, campaign_id: CampaignID, phase: Phase, hub: EUI, result: ActivationResult) -> None:
    """Make a result the outcome of a hub, in place of the one before it; its cell follows."""
    row = state.rows[campaign_id, phase, hub]
    state.rows[campaign_id, phase, hub] = replace(row, outcome=result)
    if row.cell is not None:
        cell = _with_outcome(state.cells[row.cell], row.outcome, -1)
        state.cells[row.cell] = _with_outcome(cell, result, +1)


def _with_outcome(cell: Cell, outcome: ActivationResult | None, change: int) -> Cell:
    match outcome:
        case ActivationResult.SUCCESS:
            return replace(cell, activated=cell.activated + change)
        case ActivationResult.FAILURE:
            return replace(cell, failed=cell.failed + change)
        case None:
            return cell


def _hold(state: State, campaign_id: CampaignID, phase: Phase, hub: EUI) -> Row:
    """Take a hub into a campaign; give its row in the phase, a new one if need be."""
    holder = state.holder(hub)
    if holder not in (None, campaign_id):
        raise RuntimeError(f"hub {hub} is to be held by campaign {campaign_id} and is held by {holder}")
    state.holders[hub] = campaign_id
    return state.rows.get((campaign_id, phase, hub), Row())


def _cell_key(campaign_id: CampaignID, phase: Phase, supplier: EUI | None, hub: Hub, window: Window) -> CellKey:
    parties = (supplier, hub.electricity_distributor, hub.gas_transporter)
    return (campaign_id, phase, *parties, hub.region, window.window_id, window.start, window.end)


def _allot(state: State, key: CellKey, hub: EUI, place: int, cause: Cause) -> None:
    """Give a hub its window: its cell is found or made, and counts it with what it has reported."""
    campaign_id, phase, supplier = key[:3]
    row = _hold(state, campaign_id, phase, hub)
    state.rows[campaign_id, phase, hub] = replace(row, cell=key, place=place)
    cell = state.cells.get(key) or Cell(*key[1:], devices=0)
    state.cells[key] = _with_outcome(replace(cell, devices=cell.devices + 1), row.outcome, +1)
    _write_hub(state, cause, "Allotted", campaign_id, hub, supplier, phase=phase, window=str(key[6]))


def _write_hub(
    state: State, cause: Cause, kind: str, campaign_id: CampaignID, hub: EUI, supplier: EUI | None, **detail: str
) -> None:
    state.write(cause.at, kind, cause.request_id, campaign_id=campaign_id, user=supplier, hub=hub, **detail)
