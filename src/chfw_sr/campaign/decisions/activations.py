"""11.30 Report Firmware Activation (wire contract §3): results of hubs, in a campaign or not.

Results are taken in report order. One that is recorded already, or that the report repeats, does nothing; one that is
older than the newest of its hub goes into the history and does nothing else. The failure threshold is measured once, on
the whole report, so that the order within it does not matter.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from operator import attrgetter

from chfw_sr.campaign.changes import ActivationsRecorded, CampaignEvent, CampaignSaved, Change, RecordedActivation
from chfw_sr.campaign.decision import Decision, Policy
from chfw_sr.campaign.facts import ActivationKey, Facts, Needs
from chfw_sr.campaign.model import Campaign, Hub, Membership, Tally
from chfw_sr.campaign.notices import all_reported, completed, stage_changed
from chfw_sr.campaign.schedules import in_text
from chfw_sr.campaign.transitions import TRANSITIONS, Event, advance
from chfw_sr.messages import (
    EUI,
    Activation,
    ActivationResult,
    Alert,
    CampaignID,
    CommsHubFirmwareActivation,
    CommsHubFirmwareActivationFailed,
    FirmwareActivationWarning,
    Phase,
    Rejected,
    ReportFirmwareActivation,
    ResponseCode,
    Role,
    unchecked,
)

from .case import Case, named

# A report may be told to 40,000 recipients; what it says of each hub was checked when it was read.
_activated = unchecked(CommsHubFirmwareActivation)
_failed = unchecked(CommsHubFirmwareActivationFailed)
_told = unchecked(Alert)

_RESPONSIBLE: dict[Role, Callable[[Hub], EUI | None]] = {
    Role.IS: attrgetter("import_supplier"),
    Role.GS: attrgetter("gas_supplier"),
    Role.ED: attrgetter("electricity_distributor"),
    Role.GT: attrgetter("gas_transporter"),
}
"""As `Hub.responsible`, at a fifth of the cost; in the order in which they are told."""


def _key(activation: Activation) -> ActivationKey:
    return activation.device_id, activation.firmware_version, activation.at


def needs(user: EUI, body: ReportFirmwareActivation) -> Needs:
    """11.30 needs its hubs, the campaigns that hold them, and which results are recorded already.

    Whom to tell of a pause it needs only if it comes to one: `Incomplete` says so then.
    """
    return Needs(
        user=user,
        hubs=tuple(dict.fromkeys(each.device_id for each in body.activations)),
        hub_campaigns=True,
        activations=tuple(dict.fromkeys(map(_key, body.activations))),
    )


def decide(case: Case[ReportFirmwareActivation]) -> Decision:
    """Take a CSP's report.

    Raises:
        Rejected: `E113004` if an activation is dated in the future, `E113003` if none is of a hub in the CSP's regions.

    Source: wire contract §3, §4 (`FirmwareActivationWarning`) and §5 (N64, N908).
    """
    _refuse_future(case)
    results = _Results(case.facts, case.policy)
    invalid: dict[EUI, None] = {}
    for activation in case.body.activations:
        hub = case.facts.hubs.get(activation.device_id)
        if hub is None or hub.region not in case.user.regions:
            invalid[activation.device_id] = None
        else:
            results.take(activation, hub)
    if not results.taken:
        raise Rejected(
            ResponseCode.E113003, f"The report names {named(tuple(invalid))}: unknown, or not in a region of this CSP."
        )
    settled = [each for campaign_id in results.sums for each in results.settle(campaign_id, case.now)]
    changes: list[Change] = [ActivationsRecorded(tuple(results.recorded))] if results.recorded else []
    code = ResponseCode.W113001 if invalid else ResponseCode.I99
    return Decision(
        code=code,
        payload=FirmwareActivationWarning(invalid=tuple(invalid)) if invalid else None,
        changes=(*changes, *(change for change, _ in settled)),
        alerts=(
            *results.alerts,
            *(alert for _, alerts in settled for alert in alerts),
            completed(case.request_id, case.body.srv, code),
        ),
    )


def _refuse_future(case: Case[ReportFirmwareActivation]) -> None:
    latest = case.now + case.policy.clock_tolerance
    for activation in case.body.activations:
        if activation.at > latest:
            raise Rejected(
                ResponseCode.E113004,
                f"The activation of hub {activation.device_id} is dated {in_text(activation.at)},"
                f" after {in_text(latest)}.",
            )


@dataclass(slots=True)
class _Sums:
    """What a report adds to one campaign; tallies change by activated and failed hubs."""

    reported: int = 0
    failed: int = 0
    moved: defaultdict[Phase, dict[ActivationResult, int]] = field(
        default_factory=lambda: defaultdict(lambda: dict.fromkeys(ActivationResult, 0))
    )


class _Results:
    """Takes results one after the other, and keeps what they amount to.

    Attributes:
        taken: True once a result of an acceptable hub came by, whether or not it did anything.
        recorded: what to record, in report order.
        alerts: what to tell the responsible Users, in report order.
        sums: by campaign, in order of first mention.
    """

    def __init__(self, facts: Facts, policy: Policy) -> None:
        self.taken = False
        self.recorded: list[RecordedActivation] = []
        self.alerts: list[Alert] = []
        self.sums: dict[CampaignID, _Sums] = {}
        self._facts = facts
        self._policy = policy
        self._responsible = [user for role, user in _RESPONSIBLE.items() if role in policy.alert_roles]
        self._seen: set[ActivationKey] = set()
        self._newest: dict[EUI, datetime] = {}
        self._outcomes: dict[EUI, ActivationResult] = {}

    def take(self, activation: Activation, hub: Hub) -> None:
        """Take one result of an acceptable hub."""
        self.taken = True
        key = _key(activation)
        if key in self._seen or key in self._facts.recorded:
            return
        self._seen.add(key)
        newest = self._newest.get(hub.eui, hub.last_activation_at)
        if newest is not None and activation.at < newest:
            self.recorded.append(RecordedActivation(activation, effective=False))
            return
        self._newest[hub.eui] = activation.at
        place = self._covered(activation, hub)
        if place is None:
            self.recorded.append(RecordedActivation(activation))
        else:
            self.recorded.append(RecordedActivation(activation, place.campaign_id, place.phase))
            self._count(activation, place)
        self.alerts += self._tell(activation, hub, None if place is None else place.campaign_id)

    def _covered(self, activation: Activation, hub: Hub) -> Membership | None:
        place = hub.membership
        found = None if place is None else self._facts.campaigns.get(place.campaign_id)
        if found is None or found.campaign.firmware_version != activation.firmware_version:
            return None
        return place

    def _count(self, activation: Activation, place: Membership) -> None:
        sums = self.sums.setdefault(place.campaign_id, _Sums())
        sums.reported += 1
        sums.failed += activation.result is ActivationResult.FAILURE
        before = self._outcomes.get(activation.device_id, place.outcome)
        self._outcomes[activation.device_id] = activation.result
        if place.allotted:
            moved = sums.moved[place.phase]
            moved[activation.result] += 1
            if before is not None:
                moved[before] -= 1

    def _tell(self, activation: Activation, hub: Hub, campaign_id: CampaignID | None) -> list[Alert]:
        body: CommsHubFirmwareActivation | CommsHubFirmwareActivationFailed
        if activation.result is ActivationResult.SUCCESS:
            body = _activated(device_id=hub.eui, firmware_version=activation.firmware_version)
        else:
            body = _failed(
                campaign_id=campaign_id,
                device_id=hub.eui,
                firmware_version=activation.firmware_version,
                failure_reason=activation.failure_reason,
            )
        users = dict.fromkeys([user for responsible in self._responsible if (user := responsible(hub)) is not None])
        return [_told(recipient=user, body=body) for user in users]

    def settle(self, campaign_id: CampaignID, now: datetime) -> Iterator[tuple[Change, tuple[Alert, ...]]]:
        """Give what becomes of one campaign: its counters, a phase that has all results, a pause by the threshold."""
        sums, found = self.sums[campaign_id], self._facts.campaigns[campaign_id]
        campaign = replace(
            found.campaign,
            results_reported=found.campaign.results_reported + sums.reported,
            results_failed=found.campaign.results_failed + sums.failed,
        )
        yield CampaignSaved(campaign, CampaignEvent.RESULTS_COUNTED), ()
        for phase, moved in sums.moved.items():
            before = found.tallies.get(phase, Tally())
            reported = before.activated + before.failed + sum(moved.values())
            times = campaign.times(phase)
            if reported == before.devices and not times.all_reported:
                campaign = campaign.with_times(phase, replace(times, all_reported=True))
                yield CampaignSaved(campaign, CampaignEvent.PHASE_TIMES, all_reported(phase)), ()
        reason = _excess(campaign, self._policy)
        if reason is not None:
            paused = advance(campaign, Event.THRESHOLD_EXCEEDED, now, self._policy)
            alerts = stage_changed(campaign, paused, reason, found.everybody, self._facts.operators)
            yield CampaignSaved(paused, CampaignEvent.STAGE_CHANGED, reason), alerts


def _excess(campaign: Campaign, policy: Policy) -> str | None:
    """Say by how much the failure threshold is exceeded; None if it is not, or does not apply in this stage."""
    if (campaign.stage, Event.THRESHOLD_EXCEEDED) not in TRANSITIONS:
        return None
    reported, failed = campaign.results_reported, campaign.results_failed
    if reported < policy.threshold_minimum or Decimal(100 * failed) <= campaign.failure_threshold * reported:
        return None
    return (
        f"{failed} of {reported} results are failures, {Decimal(100 * failed) / reported:.1f} %:"
        f" more than the failure threshold of {campaign.failure_threshold.normalize():f} %."
    )
