"""Users, hubs, campaigns and requests for the tests: plain values with sensible defaults, each part replaceable."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

from chfw_sr.campaign.decision import Policy
from chfw_sr.campaign.facts import Facts
from chfw_sr.campaign.model import Campaign, CampaignFacts, Hub, PhaseTimes, User
from chfw_sr.messages import (
    EUI,
    Activation,
    ActivationResult,
    Body,
    CampaignID,
    HubStatus,
    Period,
    Region,
    RequestID,
    Role,
    ServiceRequest,
    Stage,
    Window,
)

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
POLICY = Policy()
CID = CampaignID("CH-2026.1")
OTHER = CampaignID("CH-2025.9")
VERSION = "02.00.01"
OLD_VERSION = "01.00.00"


def eui(number: int) -> EUI:
    """Make an EUI from a number."""
    digits = f"{number:016X}"
    return EUI("-".join(digits[i : i + 2] for i in range(0, 16, 2)))


ACB = eui(0xA0)
DCC = eui(0xD0)
DCC_TOO = eui(0xD1)
ELECTRIC = eui(0xE0)
GAS = eui(0xE1)
THIRD = eui(0xE2)
GRID = eui(0xF0)
PIPES = eui(0xF1)
CSP_NORTH = eui(0xC0)
NOBODY = eui(0xFF)

USERS = {
    user.eui: user
    for user in (
        User(DCC, "Operator", frozenset({Role.DCC})),
        User(ELECTRIC, "Electric", frozenset({Role.IS})),
        User(GAS, "Gas", frozenset({Role.GS})),
        User(THIRD, "Both", frozenset({Role.IS, Role.GS})),
        User(GRID, "Grid", frozenset({Role.ED})),
        User(PIPES, "Pipes", frozenset({Role.GT})),
        User(CSP_NORTH, "North", frozenset({Role.CSP}), regions=frozenset({Region.NORTH})),
    )
}


def hub(number: int, **changes: object) -> Hub:
    """Make a commissioned hub in the North, supplied by ELECTRIC and GAS, that the campaign fits."""
    plain = Hub(
        eui=eui(0x1000 + number),
        manufacturer="Acme",
        model="CH-1",
        firmware_version=OLD_VERSION,
        region=Region.NORTH,
        status=HubStatus.COMMISSIONED,
        import_supplier=ELECTRIC,
        gas_supplier=GAS,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def window(number: int, start: datetime, length: timedelta = DAY, holds: int | None = None) -> Window:
    return Window(window_id=number, start=start, end=start + length, max_devices=holds)


PILOT_PERIOD = Period(start=NOW + 18 * DAY, end=NOW + 48 * DAY)
SAFE_LAUNCH_PERIOD = Period(start=NOW + 60 * DAY, end=NOW + 120 * DAY)
DEADLINE = NOW + 13 * DAY
SCHEDULE = (window(1, NOW + 20 * DAY, holds=2), window(2, NOW + 23 * DAY, holds=100))
SAFE_SCHEDULE = (window(1, NOW + 62 * DAY, 5 * DAY, holds=3), window(2, NOW + 70 * DAY, 5 * DAY))

_PILOT = PhaseTimes(starts_at=SCHEDULE[0].start, ends_at=SCHEDULE[1].end)
_PILOT_RUNS = replace(_PILOT, started_at=SCHEDULE[0].start)
_PILOT_OVER = replace(_PILOT_RUNS, ended_at=SCHEDULE[1].end)
_SAFE = PhaseTimes(starts_at=SAFE_SCHEDULE[0].start, ends_at=SAFE_SCHEDULE[1].end)
_SAFE_RUNS = replace(_SAFE, started_at=SAFE_SCHEDULE[0].start)

DRAFT = Campaign(
    campaign_id=CID,
    operator=DCC,
    manufacturer="Acme",
    model="CH-1",
    firmware_version=VERSION,
    regions=frozenset(Region),
    pilot_period=PILOT_PERIOD,
    safe_launch_period=SAFE_LAUNCH_PERIOD,
    minimum_notice_days=7,
    pilot_devices=None,
    failure_threshold=Decimal(5),
    created_at=NOW - DAY,
)
_CONSULTED = replace(DRAFT, stage=Stage.PILOT_CONSULTATION, response_deadline=DEADLINE, default_schedule=SCHEDULE)
_SCHEDULED = replace(_CONSULTED, pilot=_PILOT_OVER, safe_launch=_SAFE, safe_launch_schedule=SAFE_SCHEDULE)

CAMPAIGNS = {
    Stage.DRAFT: DRAFT,
    Stage.PILOT_CONSULTATION: _CONSULTED,
    Stage.PILOT_CONFIRMED: replace(_CONSULTED, stage=Stage.PILOT_CONFIRMED, pilot=_PILOT),
    Stage.PILOT: replace(
        _CONSULTED, stage=Stage.PILOT, pilot=_PILOT_RUNS, next_status_at=SCHEDULE[0].start + 22 * HOUR
    ),
    Stage.PILOT_COMPLETE: replace(_CONSULTED, stage=Stage.PILOT_COMPLETE, pilot=_PILOT_OVER),
    Stage.SAFE_LAUNCH_SCHEDULED: replace(_SCHEDULED, stage=Stage.SAFE_LAUNCH_SCHEDULED),
    Stage.SAFE_LAUNCH: replace(
        _SCHEDULED,
        stage=Stage.SAFE_LAUNCH,
        safe_launch=_SAFE_RUNS,
        next_status_at=SAFE_SCHEDULE[0].start + 22 * HOUR,
    ),
    Stage.COMPLETE: replace(_SCHEDULED, stage=Stage.COMPLETE, ended_at=NOW + 80 * DAY),
    Stage.PAUSED: replace(
        _CONSULTED, stage=Stage.PAUSED, pilot=_PILOT_RUNS, paused_from=Stage.PILOT, paused_at=NOW + 21 * DAY
    ),
    Stage.ABORTED: replace(DRAFT, stage=Stage.ABORTED, ended_from=Stage.DRAFT, ended_at=NOW),
}
"""A campaign in each stage, with the dates that go with it."""


def paused_from(stage: Stage, at: datetime) -> Campaign:
    return replace(CAMPAIGNS[stage], stage=Stage.PAUSED, paused_from=stage, paused_at=at, next_status_at=None)


_counters = count(1)


def request(body: Body, originator: EUI, **changes: object) -> ServiceRequest:
    request_id = RequestID(originator=originator, target=ACB, counter=next(_counters))
    return ServiceRequest(request_id=request_id, body=body, **changes)  # type: ignore[arg-type]


def facts(user: EUI, campaign: Campaign | None = None, **changes: object) -> Facts:
    """Make facts with a known User, one operator and at most one campaign, with `participations` and `tallies`."""
    found = {}
    parts = changes.pop("participations", {})
    tallies = changes.pop("tallies", {})
    if campaign is not None:
        found[campaign.campaign_id] = CampaignFacts(campaign, parts, tallies)  # type: ignore[arg-type]
    given = {"user": USERS.get(user), "operators": (DCC,), "campaigns": found} | changes
    return Facts(**given)  # type: ignore[arg-type]


def activation(
    device: EUI,
    at: datetime,
    result: ActivationResult = ActivationResult.SUCCESS,
    version: str = VERSION,
    failure_reason: str | None = None,
) -> Activation:
    return Activation(device_id=device, firmware_version=version, at=at, result=result, failure_reason=failure_reason)
