"""DUIS XML and the flat JSON of DUIS client tools: nothing is lost but the signature."""

import functools
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chfw_sr.client.duis_json import NotDuis, from_json, to_json
from chfw_sr.messages import (
    Alert,
    Fault,
    ReadPilotPlan,
    Rejected,
    RequestID,
    ResponseCode,
    ServiceRequest,
    ServiceRequestRejected,
    ServiceResponse,
)
from chfw_sr.messages.identifiers import CampaignID
from chfw_sr.wire import write_alert, write_request, write_response
from chfw_sr.wire.canonical import content
from chfw_sr.wire.namespaces import SIGNATURE
from tests import strategies
from tests.wire.makers import parsed

from .parts import DCC, DCC_SIGNER, NOW, SUPPLIER, SUPPLIER_SIGNER

EXAMPLES = 4
"""Documents of each kind; there are 28 kinds."""

REQUEST = ServiceRequest(
    request_id=RequestID(originator=SUPPLIER, target=DCC, counter=2**64 - 1),
    body=ReadPilotPlan(campaign_id=CampaignID("CH-1")),
)
FLAT = {
    "header": {
        "type": "request",
        "requestId": {
            "originatorId": "90-b3-d5-1f-30-01-00-00",
            "targetId": "90-b3-d5-1f-30-00-00-02",
            "counter": 2**64 - 1,
        },
        "commandVariant": 8,
        "serviceReference": "11.5",
        "serviceReferenceVariant": "11.5",
    },
    "body": {"ReadPilotPlan": {"CampaignID": "CH-1"}},
}


def survives(signed: bytes) -> dict:
    """Convert there, through JSON text, and back; give the JSON."""
    root = parsed(signed).root
    flat = to_json(signed)
    again = json.loads(json.dumps(flat), parse_float=Decimal)
    assert from_json(again) == content(root, root.find(SIGNATURE))
    return flat


@pytest.mark.parametrize("kind", range(len(strategies.kinds_of_body())))
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_every_kind_of_request_survives(kind, data):
    request = data.draw(strategies.requests()).model_copy(update={"body": data.draw(strategies.kinds_of_body()[kind])})
    survives(write_request(request, SUPPLIER_SIGNER))


@pytest.mark.parametrize("kind", range(len(strategies.kinds_of_payload())))
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_every_kind_of_response_survives(kind, data):
    payload = data.draw(strategies.kinds_of_payload()[kind])
    survives(write_response(data.draw(strategies.responses()).model_copy(update={"payload": payload}), DCC_SIGNER))


@pytest.mark.parametrize("kind", range(len(strategies.kinds_of_alert_body())))
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_every_kind_of_alert_survives(kind, data):
    body = data.draw(strategies.kinds_of_alert_body()[kind])
    survives(write_alert(Alert(recipient=SUPPLIER, body=body), data.draw(strategies.response_ids()), NOW, DCC_SIGNER))


def test_the_form_is_that_of_the_tools():
    assert survives(write_request(REQUEST, SUPPLIER_SIGNER)) == FLAT


def test_euis_of_the_body_are_in_lower_case_and_reasons_are_left_alone():
    rejected = ServiceRequestRejected(
        request_id=REQUEST.request_id, response_code=ResponseCode.E2, reason="AA-BB-CC-DD-EE-FF-00-11"
    )
    flat = survives(
        write_alert(Alert(recipient=SUPPLIER, body=rejected), REQUEST.request_id.response_id(), NOW, DCC_SIGNER)
    )
    inside = flat["body"]["DCCAlertMessage"]["DCCAlert"]["ServiceRequestRejected"]
    assert inside["ServiceRequestID"] == str(REQUEST.request_id).lower()
    assert inside["Reason"] == "AA-BB-CC-DD-EE-FF-00-11"
    response = ServiceResponse(
        request_id=REQUEST.request_id, code=ResponseCode.E901, at=NOW, payload=Fault(reason="why", line=3)
    )
    header = survives(write_response(response, DCC_SIGNER))["header"]
    assert header["type"] == "response"
    assert header["responseId"]["originatorId"] == DCC.lower()
    assert header["responseCode"] == "E901"


def test_another_schema_version_is_kept():
    flat = to_json(write_request(REQUEST, None).replace(b'"5.4"', b'"5.3"'))
    assert flat["header"]["schemaVersion"] == "5.3"
    assert b'schemaVersion="5.3"' in from_json(flat)


def changed(**header) -> dict:
    """Give the example with other fields in its header."""
    return FLAT | {"header": FLAT["header"] | header}


@pytest.mark.parametrize(
    "flat",
    [
        FLAT | {"body": {"ReadPilotPlan": {"CampaignID": {"#text": "CH-1"}}}},
        FLAT | {"body": {"ReadPilotPlan": [{"CampaignID": ["CH-1"]}]}},
        changed(commandVariant={"number": 8, "description": "x"}),
        changed(commandVariant="8"),
        changed(serviceReferenceVariant={"Service Reference Variant": "11.5", "Critical": "No"}),
        changed(serviceReferenceVariant=11.5),
        changed(serviceReferenceVariant=Decimal("11.5")),
        changed(requestId=str(REQUEST.request_id)),
        changed(requestId=FLAT["header"]["requestId"] | {"counter": str(2**64 - 1), "targetId": DCC}),
        {"header": {name: value for name, value in FLAT["header"].items() if name != "type"}, "body": FLAT["body"]},
    ],
)
def test_what_tools_write_besides_is_understood(flat):
    assert from_json(flat) == write_request(REQUEST, None)


@pytest.mark.parametrize(
    ("flat", "words"),
    [
        ([], "the document: an object"),
        ({"body": {}}, "header: an object"),
        (FLAT | {"body": "x"}, "body: an object"),
        (changed(type="order"), "header.type"),
        (changed(originator="x"), r"header\.originator: there is no such field"),
        (changed(requestId=7), "header.requestId: an object"),
        (changed(serviceReference=None), "header.serviceReference: a text"),
        (FLAT | {"body": {"Read Pilot": ""}}, "not the name of an element"),
        (FLAT | {"body": {"ReadPilotPlan": {"CampaignID": "\0"}}}, r"body\.ReadPilotPlan\.CampaignID: has a character"),
        (FLAT | {"body": {"ReadPilotPlan": [{"CampaignID": [None]}]}}, r"ReadPilotPlan\[0\]\.CampaignID\[0\]: a text"),
        (FLAT | {"body": functools.reduce(lambda inner, _: {"A": inner}, range(50), "")}, "levels"),
    ],
)
def test_what_is_no_such_json_is_refused_with_its_place(flat, words):
    with pytest.raises(NotDuis, match=words):
        from_json(flat)


def test_what_the_schema_does_not_allow_is_rejected_both_ways():
    with pytest.raises(Rejected, match="CampaignID"):
        from_json(FLAT | {"body": {"ReadPilotPlan": {"CampaignID": ""}}})
    with pytest.raises(Rejected, match="E901"):
        from_json(changed(schemaVersion='5.4" x="'))
    with pytest.raises(Rejected):
        to_json(b"<x/>")


def test_a_boolean_is_a_flag():
    octets = from_json(changed(firstInSequence=True, precedingServiceRequestId=FLAT["header"]["requestId"]))
    assert b"<sr:FirstInSequence>true<" in octets
    flat = to_json(octets)
    assert flat["header"]["firstInSequence"] is True
    assert flat["header"]["precedingServiceRequestId"] == FLAT["header"]["requestId"]
