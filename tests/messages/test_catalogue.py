"""The catalogue is whole: every code, element and body is in it once."""

import re
from typing import get_args

import pytest

from chfw_sr.messages import (
    ALERTS,
    BODIES,
    RESPONSES,
    SERVICE_REFERENCES,
    SRV,
    Alert,
    AlertCode,
    AnyAlertBody,
    Body,
    CommsHubFirmwareActivation,
    Fault,
    Rejected,
    ResponseCode,
    Role,
)
from tests.messages.test_identifiers import EUI_TEXT


def test_every_service_request_has_an_entry_and_a_body():
    assert list(SERVICE_REFERENCES) == list(SRV) == [body.srv for body in BODIES]
    assert set(BODIES) == set(get_args(Body))
    assert [entry.element for entry in SERVICE_REFERENCES.values()] == [body.__name__ for body in BODIES]
    assert all(entry.origin == "ext" for entry in SERVICE_REFERENCES.values())


def test_who_may_send_what():
    suppliers, operator = {Role.IS, Role.GS}, {Role.DCC}
    assert {srv: set(entry.roles) for srv, entry in SERVICE_REFERENCES.items()} == {
        "11.5": suppliers,
        "11.6": suppliers,
        "11.7": suppliers,
        "11.8": suppliers,
        "11.9": {Role.IS, Role.GS, Role.ED, Role.GT, Role.DCC},
        "11.20": operator,
        "11.21": operator,
        "11.22": operator,
        "11.23": operator,
        "11.30": {Role.CSP},
    }
    assert {srv for srv, entry in SERVICE_REFERENCES.items() if entry.read} == {"11.5", "11.8", "11.9"}


def test_every_alert_has_an_entry_and_a_body():
    assert list(ALERTS) == list(AlertCode) == [body.code for body in get_args(AnyAlertBody)]
    assert {code for code, entry in ALERTS.items() if entry.origin == "DUIS"} == {"N64"}
    assert ALERTS[AlertCode.N64].element == "CommsHubFirmwareActivation"
    assert len({entry.element for entry in ALERTS.values()}) == len(ALERTS)


def test_our_alert_codes_are_in_our_range():
    assert all(code == "N64" or 901 <= int(code[1:]) <= 949 for code in AlertCode)


def test_an_alerts_code_follows_from_its_body():
    body = CommsHubFirmwareActivation(device_id=EUI_TEXT, firmware_version="1")
    assert Alert(recipient=EUI_TEXT, body=body).code is AlertCode.N64


def test_every_response_code_has_an_entry():
    assert list(RESPONSES) == list(ResponseCode)
    assert all(entry.meaning.endswith(".") for entry in RESPONSES.values())
    assert {code for code, entry in RESPONSES.items() if entry.origin == "DUIS"} == {
        "I0", "I99", "E1", "E2", "E3", "E4", "E5", "E11", "E12", "E19",
    }  # fmt: skip


@pytest.mark.parametrize("code", [code for code in ResponseCode if RESPONSES[code].origin == "ext"])
def test_our_response_codes_are_formed_as_duis_forms_them(code):
    numbers = {f"{int(srv.split('.')[1]):02}" for srv in SRV}
    match = re.fullmatch(r"E90[0-6]|[EW]11(\d\d)\d\d", code)
    assert match
    assert match[1] is None or match[1] in numbers


def test_a_warning_is_no_error():
    assert ResponseCode.E904.is_error
    assert not ResponseCode.W110601.is_error
    assert not ResponseCode.I0.is_error


def test_a_rejection_says_what_to_answer():
    refused = Rejected(ResponseCode.E901, "no good", path="/sr:Request", line=3)
    assert str(refused) == "E901: no good"
    assert refused.fault() == Fault(reason="no good", path="/sr:Request", line=3)
    assert Rejected(ResponseCode.E902, "who?").fault() == Fault(reason="who?")
