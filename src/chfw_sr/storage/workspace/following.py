"""Carries small changes out in what is known, and notes what is to be written for them.

A change is followed only if all that it rests on is known; otherwise nothing happens, and the database carries it out.
What a change means is told in `campaign.changes`; the history's rows are those that the database would write, in order.
"""

from dataclasses import replace
from typing import assert_never

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
from chfw_sr.campaign.model import Campaign, CampaignFacts, Tally
from chfw_sr.messages import EUI, ActivationResult, Phase
from chfw_sr.service.ports import Cause
from chfw_sr.storage.lines import activation_line, activation_values, campaign_line, hub_line, participation_line

from .known import Known, Place, Row
from .pending import Pending
from .wanted import BULK


def follow(known: Known, pending: Pending, change: Change, cause: Cause) -> bool:
    """Carry out a change in memory.

    Args:
        known: what it changes.
        pending: where to note what is to be written.
        change: what to do.
        cause: what to write to the history beside it.

    Returns:
        False if the database must do it; nothing happened then.
    """
    match change:
        case CampaignSaved():
            return _save_campaign(known, pending, change, cause)
        case ParticipationSaved():
            return _save_participation(known, pending, change, cause)
        case NominationsReplaced():
            return _replace_nominations(known, pending, change, cause)
        case ActivationsRecorded():
            return _record_activations(known, pending, change, cause)
        case DefaultListSet() | PilotAllotted() | SafeLaunchAllotted():
            return False
        case _:
            assert_never(change)


def _save_campaign(known: Known, pending: Pending, change: CampaignSaved, cause: Cause) -> bool:
    """Follow what neither begins nor ends a campaign, nor changes its targets: memberships would follow."""
    campaign = change.campaign
    found = known.campaigns.get(campaign.campaign_id)
    if change.event is CampaignEvent.CREATED or found is None or _nature(found.campaign) != _nature(campaign):
        return False
    known.campaigns[campaign.campaign_id] = CampaignFacts(campaign, found.participations, found.tallies, found.complete)
    pending.campaigns[campaign.campaign_id] = campaign
    pending.history.append(campaign_line(change, cause))
    return True


def _nature(campaign: Campaign) -> tuple[object, ...]:
    targets = (campaign.manufacturer, campaign.model, campaign.firmware_version, campaign.regions)
    return (*targets, campaign.is_live)


def _save_participation(known: Known, pending: Pending, change: ParticipationSaved, cause: Cause) -> bool:
    part = change.participation
    found = known.campaigns.get(part.campaign_id)
    if found is None:
        return False
    participations = {**found.participations, part.supplier: part}
    if part.supplier not in found.participations:
        participations = dict(sorted(participations.items()))
    known.campaigns[part.campaign_id] = CampaignFacts(found.campaign, participations, found.tallies, found.complete)
    pending.participations[part.campaign_id, part.supplier] = part
    pending.history.append(participation_line(change, cause))
    return True


# --------------------------------------------------------------------------------------------------------- nominations


def _replace_nominations(known: Known, pending: Pending, change: NominationsReplaced, cause: Cause) -> bool:
    before = known.nominated.get((change.campaign_id, change.supplier))
    if before is None or not _knows_nominations(known, change):
        return False
    for hub in sorted(before.keys() - set(change.hubs)):
        _withdraw(known, pending, change, hub, before[hub])
        pending.history.append(hub_line("NominationWithdrawn", cause, change.campaign_id, change.supplier, hub))
    after: dict[EUI, EUI | None] = {}
    for position, hub in enumerate(change.hubs):
        after[hub] = _nominate(known, pending, change, hub, position)
        if hub not in before:
            pending.history.append(hub_line("Nominated", cause, change.campaign_id, change.supplier, hub))
    known.nominated[change.campaign_id, change.supplier] = after
    return True


def _knows_nominations(known: Known, change: NominationsReplaced) -> bool:
    """Tell whether the hubs named are known and free for this Supplier, in a campaign that has allotted none yet."""
    found = known.campaigns.get(change.campaign_id)
    if found is None or not found.campaign.is_live or Phase.PILOT in found.tallies or len(change.hubs) > BULK:
        return False
    place = (change.campaign_id, Phase.PILOT)
    for eui in change.hubs:
        if known.hubs.get(eui) is None or change.campaign_id not in known.searched[eui]:
            return False
        hub = known.hub(eui)
        assert hub is not None
        if hub.membership is not None and hub.membership.campaign_id != change.campaign_id:
            return False
        row = known.row(eui, place)
        if row is not None and row.nominated_by not in (None, change.supplier):
            return False
    return True


def _withdraw(known: Known, pending: Pending, change: NominationsReplaced, hub: EUI, default: EUI | None) -> None:
    place = (change.campaign_id, Phase.PILOT)
    row = known.row(hub, place)
    if default is None:
        pending.delete((change.campaign_id, hub))
        known.disturb(known.hubs.get(hub), hub)
        if row is not None:
            del known.rows[hub][place]
    else:
        pending.withdraw((change.campaign_id, hub))
        if row is not None:
            row.nominated_by = None
    if row is not None:
        known.replace(hub)


def _nominate(known: Known, pending: Pending, change: NominationsReplaced, hub: EUI, position: int) -> EUI | None:
    """Let a hub be nominated; give the default Supplier of its row."""
    pending.nominate((change.campaign_id, hub), change.supplier, position)
    place = (change.campaign_id, Phase.PILOT)
    row = known.row(hub, place)
    if row is None:
        row = known.rows[hub][place] = Row()
        known.disturb(known.hubs[hub], hub)
    if row.nominated_by != change.supplier or not row.held:
        row.nominated_by, row.held = change.supplier, True
        known.replace(hub)
    return row.default_supplier


# --------------------------------------------------------------------------------------------------------- activations


def _record_activations(known: Known, pending: Pending, change: ActivationsRecorded, cause: Cause) -> bool:
    if len(change.activations) > BULK or not all(_knows_place(known, one) for one in change.activations):
        return False
    for one in change.activations:
        _record(known, pending, one, cause)
    return True


def _knows_place(known: Known, one: RecordedActivation) -> bool:
    eui = one.activation.device_id
    if known.hubs.get(eui) is None:
        return False
    if one.campaign_id is None or one.phase is None:
        return True
    return known.campaigns.get(one.campaign_id) is not None and (one.campaign_id, one.phase) in known.rows[eui]


def _record(known: Known, pending: Pending, one: RecordedActivation, cause: Cause) -> None:
    activation = one.activation
    eui = activation.device_id
    pending.activations.append(activation_values(one, cause))
    pending.history.append(activation_line(one, cause))
    known.recorded[eui, activation.firmware_version, activation.at] = True
    if not one.effective:
        return
    hub = known.hubs[eui]
    assert hub is not None
    succeeded = activation.result is ActivationResult.SUCCESS
    version = activation.firmware_version if succeeded else hub.firmware_version
    pending.inventory[eui] = (activation.at, version)
    if version != hub.firmware_version:
        known.disturb(hub, eui)
    if one.campaign_id is not None and one.phase is not None:
        _count(known, pending, (one.campaign_id, one.phase), eui, activation.result)
    known.renew(hub, version, activation.at)


def _count(known: Known, pending: Pending, place: Place, eui: EUI, result: ActivationResult) -> None:
    """Make a result the outcome of a hub, in place of the one before it; its cell and the sums follow."""
    row = known.rows[eui][place]
    before, row.outcome = row.outcome, result
    campaign_id, phase = place
    pending.outcomes[campaign_id, phase, eui] = result
    if row.cell_id is None:
        return
    pending.count(place, row.cell_id, before, result)
    moved = dict.fromkeys(ActivationResult, 0)
    moved[result] += 1
    if before is not None:
        moved[before] -= 1
    activated, failed = moved[ActivationResult.SUCCESS], moved[ActivationResult.FAILURE]
    cells = known.cells.get(campaign_id)
    if cells is not None:
        cell = cells[row.cell_id]
        cells[row.cell_id] = replace(cell, activated=cell.activated + activated, failed=cell.failed + failed)
    found = known.campaigns[campaign_id]
    assert found is not None
    tally = found.tallies[phase]
    tallies = {**found.tallies, phase: Tally(tally.devices, tally.activated + activated, tally.failed + failed)}
    known.campaigns[campaign_id] = CampaignFacts(found.campaign, found.participations, tallies, found.complete)
