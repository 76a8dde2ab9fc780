"""Rows of the history and of results."""

from datetime import UTC, datetime, timedelta

from chfw_sr.campaign.changes import RecordedActivation
from chfw_sr.messages import Activation, ActivationResult, CampaignID, Phase, RequestID, parse_eui
from chfw_sr.service.ports import Cause
from chfw_sr.storage.lines import activation_line, activation_values, name_of

AT = datetime(2027, 1, 4, 9, tzinfo=UTC)
HUB, CSP, DCC = (parse_eui(f"00-DB-12-34-00-00-00-0{number}") for number in range(3))


def cause(counter: int) -> Cause:
    return Cause(AT, RequestID(originator=CSP, target=DCC, counter=counter))


def reported(result: ActivationResult, reason: str | None = None) -> RecordedActivation:
    activation = Activation(
        device_id=HUB,
        firmware_version="2.0",
        at=AT - timedelta(hours=1, microseconds=1),
        result=result,
        failure_reason=reason,
    )
    return RecordedActivation(activation, CampaignID("C1"), Phase.PILOT)


def test_each_row_names_its_own_request() -> None:
    first, second = cause(1), cause(2)
    names = [name_of(each) for each in (first, first, second, first, cause(1), Cause(AT), second)]
    one, two = f"{CSP}:{DCC}:1", f"{CSP}:{DCC}:2"
    assert names == [one, one, two, one, one, None, two]


def test_a_result_is_told_with_its_reason_if_there_is_one() -> None:
    _, kind, campaign_id, _, hub, name, detail = activation_line(
        reported(ActivationResult.FAILURE, "no power"), cause(3)
    )
    assert (kind, campaign_id, hub, name) == ("ActivationFailed", "C1", HUB, f"{CSP}:{DCC}:3")
    activated = {"firmware_version": "2.0", "activated_at": "2027-01-04T07:59:59.999999Z"}
    assert detail == activated | {"failure_reason": "no power"}
    _, kind, *_, detail = activation_line(reported(ActivationResult.SUCCESS), cause(3))
    assert (kind, detail) == ("Activated", activated)


def test_a_result_is_kept_as_plain_text() -> None:
    row = activation_values(reported(ActivationResult.SUCCESS), cause(3))
    assert row[3:8] == ("Success", None, "C1", "Pilot", True)
    assert [type(value) for value in (row[3], row[6])] == [str, str]
