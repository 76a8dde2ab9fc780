"""Messages are frozen, closed and strict."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chfw_sr.messages import (
    SRV,
    Activation,
    ActivationResult,
    CampaignStatus,
    CreateFirmwareCampaign,
    DeletePilotPreferences,
    Period,
    PhaseCounts,
    PilotPreferencesWarning,
    RequestID,
    ServiceRequest,
    Stage,
    UpdatePilotPreferences,
    Window,
)
from tests import strategies

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HUB = "00-DB-12-34-56-78-90-A0"


@given(st.one_of(strategies.requests(), strategies.alerts(), strategies.responses()))
def test_messages_are_values(message):
    again = message.model_copy(deep=True)
    assert again == message
    assert hash(again) == hash(message)


def test_messages_are_frozen():
    body = DeletePilotPreferences(campaign_id="C1")
    with pytest.raises(ValidationError, match="frozen"):
        body.campaign_id = "C2"


def test_unknown_fields_are_refused():
    with pytest.raises(ValidationError, match="Extra inputs"):
        DeletePilotPreferences(campaign_id="C1", campaign="C2")


def test_nothing_is_coerced():
    with pytest.raises(ValidationError):
        Window(window_id="1", start=NOW, end=NOW)
    with pytest.raises(ValidationError):
        Window(window_id=1, start="2026-03-01T00:00:00Z", end=NOW)


def test_dates_and_times_are_kept_in_utc_and_need_an_offset():
    summer = datetime(2026, 6, 1, 12, tzinfo=timezone(timedelta(hours=1)))
    period = Period(start=summer, end=NOW)
    assert period.start == datetime(2026, 6, 1, 11, tzinfo=UTC)
    assert period.start.tzinfo is UTC
    with pytest.raises(ValidationError, match="needs an offset"):
        Period(start=datetime(2026, 6, 1), end=NOW)  # noqa: DTZ001 - that is the fault


@pytest.mark.parametrize(("field", "value"), [("window_id", 0), ("window_id", 2**31), ("max_devices", 0)])
def test_numbers_of_a_window_are_bounded(field, value):
    with pytest.raises(ValidationError):
        Window(**{"window_id": 1, "start": NOW, "end": NOW, field: value})


def test_preferences_need_a_list_or_a_schedule():
    window = Window(window_id=1, start=NOW, end=NOW)
    assert UpdatePilotPreferences(campaign_id="C1", preferred_list=(HUB,)).preferred_schedule is None
    assert UpdatePilotPreferences(campaign_id="C1", preferred_schedule=(window,)).preferred_list is None
    with pytest.raises(ValidationError, match="neither a PreferredPilotList nor a PreferredPilotSchedule"):
        UpdatePilotPreferences(campaign_id="C1")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("manufacturer", ""),
        ("model", "x" * 31),
        ("firmware_version", "x" * 9),
        ("minimum_notice_days", 366),
        ("failure_threshold", Decimal(101)),
        ("campaign_id", "a b"),
    ],
)
def test_a_campaign_is_bounded(field, value):
    fields = {
        "campaign_id": "C1",
        "manufacturer": "Acme",
        "model": "M",
        "firmware_version": "1",
        "pilot_period": Period(start=NOW, end=NOW),
    }
    assert CreateFirmwareCampaign(**fields).failure_threshold == 5
    with pytest.raises(ValidationError):
        CreateFirmwareCampaign(**{**fields, field: value})


def test_a_failure_reason_is_bounded():
    with pytest.raises(ValidationError):
        Activation(
            device_id=HUB, firmware_version="1", at=NOW, result=ActivationResult.FAILURE, failure_reason="x" * 251
        )


def test_a_status_names_its_campaign_as_everything_does():
    counts = PhaseCounts(devices=0, scheduled=0, activated=0, failed=0, pending=0)
    with pytest.raises(ValidationError, match="not a CampaignID"):
        CampaignStatus(campaign_id="a b", stage=Stage.PILOT, firmware_version="1", as_of=NOW, pilot=counts)


def test_every_refused_entry_counts():
    assert PilotPreferencesWarning().refused == 0
    warning = PilotPreferencesWarning(
        invalid=(HUB,),
        not_commissioned=(HUB,) * 2,
        not_applicable_firmware=(HUB,) * 4,
        other_request_in_progress=(HUB,) * 8,
        already_nominated=(HUB,) * 16,
        duplicate=(HUB,) * 32,
    )
    assert warning.refused == 63


def test_a_requests_number_follows_from_its_body():
    request_id = RequestID.parse(f"{HUB}:{HUB}:1")
    request = ServiceRequest(request_id=request_id, body=DeletePilotPreferences(campaign_id="C1"))
    assert request.srv is SRV.DELETE_PILOT_PREFERENCES
    assert request.command_variant == 8
