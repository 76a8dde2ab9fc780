"""Reading a verified request, and what the schema cannot say of it."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chfw_sr.messages import (
    CreateFirmwareCampaign,
    DeviceBounds,
    Period,
    Region,
    Rejected,
    ServiceRequest,
    UpdatePilotPreferences,
)
from chfw_sr.wire import Verified, read_request, verify
from chfw_sr.wire.fields import parse_instant
from tests import strategies
from tests.wire.makers import (
    HUB,
    NOW,
    REQUEST_ID,
    SCHEMAS,
    TRUST,
    activation,
    alert,
    parsed,
    preferences,
    report,
    request,
    signed,
    window,
)


def read(unsigned: bytes) -> ServiceRequest:
    document = parsed(signed(unsigned))
    return read_request(Verified(SCHEMAS.validate(document), verify(document, TRUST, NOW)))


def refusal(unsigned: bytes) -> Rejected:
    with pytest.raises(Rejected) as refused:
        read(unsigned)
    assert refused.value.code == "E901"
    return refused.value


PERIOD = Period(start=datetime(2026, 5, 1, tzinfo=UTC), end=datetime(2026, 6, 1, tzinfo=UTC))


def campaign(regions: str = "", rest: str = "") -> bytes:
    return request(
        "<sr:CreateFirmwareCampaign><sr:CampaignID> C1 </sr:CampaignID>"
        "<sr:DeviceManufacturer> Acme </sr:DeviceManufacturer><sr:DeviceModel>M</sr:DeviceModel>"
        f"<sr:FirmwareVersion>1.2.3</sr:FirmwareVersion>{regions}<sr:PilotPeriod>"
        "<sr:StartDateTime>2026-05-01T00:00:00Z</sr:StartDateTime>"
        "<sr:EndDateTime>2026-06-01T00:00:00Z</sr:EndDateTime></sr:PilotPeriod>"
        f"{rest}</sr:CreateFirmwareCampaign>",
        "11.20",
    )


def test_what_a_request_leaves_out_takes_its_default():
    body = read(campaign()).body
    assert body == CreateFirmwareCampaign(
        campaign_id="C1", manufacturer=" Acme ", model="M", firmware_version="1.2.3", pilot_period=PERIOD
    )
    assert (body.minimum_notice_days, body.failure_threshold, body.regions) == (7, Decimal(5), ())


def test_numbers_are_read_in_all_their_spellings():
    regions = "<sr:CSPRegion> North </sr:CSPRegion><sr:CSPRegion>South</sr:CSPRegion>"
    rest = (
        "<sr:MinimumNoticeDays> +014 </sr:MinimumNoticeDays><sr:PilotDevicesPerSupplier><sr:Minimum>00</sr:Minimum>"
        "<sr:Maximum>+5</sr:Maximum></sr:PilotDevicesPerSupplier><sr:FailureThreshold> +.50 </sr:FailureThreshold>"
    )
    body = read(campaign(regions, rest)).body
    assert (body.minimum_notice_days, body.failure_threshold) == (14, Decimal("0.5"))
    assert body.pilot_devices == DeviceBounds(minimum=0, maximum=5)
    assert body.regions == (Region.NORTH, Region.SOUTH)


@pytest.mark.parametrize(("text", "flag"), [("true", True), (" 1 ", True), ("false", False), ("0", False)])
def test_the_header_is_read_whole(text, flag):
    header = (
        f"<sr:FirstInSequence>{text}</sr:FirstInSequence>"
        f"<sr:PrecedingServiceRequestID> {str(REQUEST_ID).lower()} </sr:PrecedingServiceRequestID>"
        "<sr:CommandVariant>3</sr:CommandVariant>"
    )
    found = read(request(header=header))
    assert (found.first_in_sequence, found.preceding_request_id, found.command_variant) == (flag, REQUEST_ID, 3)
    assert found.request_id == REQUEST_ID


def test_euis_are_kept_in_upper_case():
    found = read(preferences(f"{HUB.lower()},{HUB}", window()))
    assert isinstance(found.body, UpdatePilotPreferences)
    assert found.body.preferred_list == (HUB, HUB)
    assert read(report(activation(device=f" {HUB.lower()} "))).body.activations[0].device_id == HUB


@pytest.mark.parametrize(
    ("srv", "reference", "path", "reason"),
    [
        ("11.6", "11.6", "ServiceReference", "ServiceReference is 11.6; the body is 11.5's"),
        ("11.6", "11.5", "ServiceReferenceVariant", "ServiceReferenceVariant is 11.6; the body is 11.5's"),
        ("11.5", "11.6", "ServiceReference", "ServiceReference is 11.6; the body is 11.5's"),
    ],
)
def test_both_numbers_must_fit_the_body(srv, reference, path, reason):
    refused = refusal(request(srv=srv, reference=reference))
    assert (refused.path, refused.line, refused.reason) == (f"/sr:Request/sr:Header/sr:{path}", 1, reason)


def test_a_failure_reason_stands_with_a_failure_only():
    why = "<sr:FailureReason>power lost</sr:FailureReason>"
    failed = read(report(activation(result="Failure", rest=why))).body.activations[0]
    assert failed.failure_reason == "power lost"
    refused = refusal(report(activation(), activation(rest=why)))
    assert refused.path == "/sr:Request/sr:Body/sr:ReportFirmwareActivation/sr:Activation[2]/sr:FailureReason"
    assert refused.reason == "a FailureReason stands with a Failure only"


def test_a_response_is_not_read_as_a_request():
    document = parsed(alert())
    with pytest.raises(Rejected, match="the root is sr:Response"):
        read_request(Verified(SCHEMAS.validate(document), verify(document, TRUST, NOW)))


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-29T00:59:59Z", datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)),
        ("2026-03-29T02:00:00+01:00", datetime(2026, 3, 29, 1, tzinfo=UTC)),
        ("2026-03-29T02:00:00-14:00", datetime(2026, 3, 29, 16, tzinfo=UTC)),
        ("2026-03-29T02:00:00.5Z", datetime(2026, 3, 29, 2, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-03-29T02:00:00.123456789+00:00", datetime(2026, 3, 29, 2, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-12-31T24:00:00Z", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2026-12-31T24:00:00.000+01:00", datetime(2026, 12, 31, 23, tzinfo=UTC)),
    ],
)
def test_dates_and_times_are_read_in_utc(text, instant):
    assert parse_instant(text) == instant
    assert parse_instant(text).tzinfo is UTC


@given(strategies.instants(), st.integers(-14 * 60, 14 * 60))
def test_every_offset_is_the_same_instant(instant, minutes):
    local = instant.astimezone(timezone(timedelta(minutes=minutes)))
    assert parse_instant(local.isoformat()) == instant
