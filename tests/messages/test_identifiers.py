"""EUIs, lists of them, RequestIDs and CampaignIDs."""

import pytest
from hypothesis import given
from pydantic import ValidationError

from chfw_sr.messages import (
    EUI,
    MAX_DEVICE_LIST,
    CommsHubFirmwareActivation,
    ReadPilotPlan,
    RequestID,
    ResponseID,
    parse_campaign_id,
    parse_device_list,
    parse_eui,
)
from tests import strategies

EUI_TEXT = "90-B3-D5-1F-30-01-00-0A"


@pytest.mark.parametrize("text", [EUI_TEXT, EUI_TEXT.lower(), "90-b3-D5-1f-30-01-00-0a"])
def test_an_eui_is_kept_in_upper_case(text):
    assert parse_eui(text) == EUI_TEXT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "90-B3-D5-1F-30-01-00",
        "90-B3-D5-1F-30-01-00-0A-00",
        "90-B3-D5-1F-30-01-00-0G",
        "90:B3:D5:1F:30:01:00:0A",
        "90B3D51F3001000A",
        f" {EUI_TEXT}",
        f"{EUI_TEXT}\n",
        "90-B3-D5-1F-30-01-00-\u0660A",
        "90-B3-D5-1F-30-01-00-\ufb00",  # a ligature that is `FF` in upper case
    ],
)
def test_anything_else_is_no_eui(text):
    with pytest.raises(ValueError, match="not an EUI"):
        parse_eui(text)


def test_an_eui_field_takes_the_form_that_we_store_only():
    assert CommsHubFirmwareActivation(device_id=EUI(EUI_TEXT), firmware_version="1").device_id == EUI_TEXT
    with pytest.raises(ValidationError, match="not an EUI in upper case"):
        CommsHubFirmwareActivation(device_id=EUI(EUI_TEXT.lower()), firmware_version="1")


def test_a_list_is_one_string():
    other = "00-00-00-00-00-00-00-00"
    assert parse_device_list(EUI_TEXT.lower()) == (EUI_TEXT,)
    assert parse_device_list(f"{EUI_TEXT},{other},{EUI_TEXT}") == (EUI_TEXT, other, EUI_TEXT)


@pytest.mark.parametrize(
    "text", ["", ",", f"{EUI_TEXT},", f",{EUI_TEXT}", f"{EUI_TEXT}, {EUI_TEXT}", f"{EUI_TEXT[:-2]}\ufb00", "x"]
)
def test_anything_else_is_no_list(text):
    with pytest.raises(ValueError, match="not a DeviceIDList"):
        parse_device_list(text)


def test_a_list_holds_fifty_thousand_and_no_more():
    full = ",".join([EUI_TEXT] * MAX_DEVICE_LIST)
    assert len(parse_device_list(full)) == MAX_DEVICE_LIST
    with pytest.raises(ValueError, match="at most 50000 EUIs, not 50001"):
        parse_device_list(f"{full},{EUI_TEXT}")


@pytest.mark.parametrize("text", ["C", "a.b_c-D9", "x" * 36])
def test_a_campaign_id_is_kept_as_it_is(text):
    assert parse_campaign_id(text) == text


@pytest.mark.parametrize("text", ["", "x" * 37, "a b", "ä", "a/b", "a\n"])
def test_anything_else_is_no_campaign_id(text):
    with pytest.raises(ValueError, match="not a CampaignID"):
        parse_campaign_id(text)
    with pytest.raises(ValidationError, match="not a CampaignID"):
        ReadPilotPlan(campaign_id=text)


@given(strategies.request_ids())
def test_a_request_id_is_written_and_read(request_id):
    assert RequestID.parse(str(request_id)) == request_id
    assert RequestID.parse(f"\n\t {str(request_id).lower()} \r") == request_id


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "EUI:EUI:counter"),
        (f"{EUI_TEXT}:1", "EUI:EUI:counter"),
        (f"{EUI_TEXT}:{EUI_TEXT}:1:1", "EUI:EUI:counter"),
        (f"{EUI_TEXT}:{EUI_TEXT}:", "counter"),
        (f"{EUI_TEXT}:{EUI_TEXT}:01", "counter"),
        (f"{EUI_TEXT}:{EUI_TEXT}:-1", "counter"),
        (f"{EUI_TEXT}:{EUI_TEXT}: 1", "counter"),
        (f"{EUI_TEXT}:{EUI_TEXT}:\u0661", "counter"),
        (f"{EUI_TEXT}:{EUI_TEXT}:18446744073709551616", "counter"),
        (f"{EUI_TEXT}:{EUI_TEXT}:{'1' * 5000}", "counter"),
        (f"x:{EUI_TEXT}:1", "not an EUI"),
        (f"{EUI_TEXT}:x:1", "not an EUI"),
    ],
    ids=range(12),
)
def test_anything_else_is_no_request_id(text, reason):
    with pytest.raises(ValueError, match=reason):
        RequestID.parse(text)


def test_the_largest_counter_fits():
    assert RequestID.parse(f"{EUI_TEXT}:{EUI_TEXT}:18446744073709551615").counter == 2**64 - 1


@given(strategies.request_ids())
def test_a_response_goes_back_to_where_the_request_came_from(request_id):
    answer = request_id.response_id()
    assert isinstance(answer, ResponseID)
    assert (answer.originator, answer.target, answer.counter) == (
        request_id.target,
        request_id.originator,
        request_id.counter,
    )
