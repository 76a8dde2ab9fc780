"""What is written is read back equal, and is canonical as a general canonicaliser has it."""

import hashlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from chfw_sr.messages import (
    SRV,
    Alert,
    CampaignStageChanged,
    Rejected,
    RequestID,
    ResponseCode,
    ResponseID,
    ServiceRequest,
    ServiceRequestCompleted,
    ServiceRequestRejected,
    ServiceResponse,
    Stage,
    Throttled,
)
from chfw_sr.messages.base import Message
from chfw_sr.wire import (
    read_alert,
    read_response,
    verify,
    write_alert,
    write_alerts,
    write_request,
    write_response,
    write_responses,
)
from chfw_sr.wire.reader import read_request
from chfw_sr.wire.signature import Verified
from tests import strategies
from tests.wire.makers import (
    ACCESS_CONTROL_BROKER,
    ALICE,
    DCC,
    HUB,
    NOW,
    REQUEST_ID,
    SCHEMAS,
    SR,
    SUPPLIER,
    TRUST,
    alert,
    parsed,
    response,
    signed,
    take,
)

BROKER = ACCESS_CONTROL_BROKER.signer


def canonical(octets: bytes) -> bytes:
    """A parser without any of our settings, and lxml's canonicaliser: what another program would make of it."""
    return etree.tostring(etree.fromstring(octets).getroottree(), method="c14n", exclusive=False, with_comments=False)


@given(strategies.requests(originator=SUPPLIER))
def test_a_request_survives_the_wire(request: ServiceRequest):
    arrived = take(write_request(request, ALICE.signer))
    assert arrived.outcome == request
    assert (arrived.request_id, arrived.srv) == (request.request_id, request.srv)


@pytest.mark.parametrize("kind", range(len(strategies.kinds_of_body())))
@settings(max_examples=20)
@given(data=st.data())
def test_every_kind_of_request_survives_the_wire(kind, data):
    sent = ServiceRequest(request_id=REQUEST_ID, body=data.draw(strategies.kinds_of_body()[kind]))
    assert take(write_request(sent, ALICE.signer)).outcome == sent


@given(strategies.requests(SUPPLIER, strategies.any_text))
def test_what_is_read_without_checks_would_pass_them(request: ServiceRequest):
    found = take(write_request(request, ALICE.signer)).outcome
    assert checked(found) == found


def checked(value):
    """Make a message anew, and the messages in it, with all their checks."""
    if isinstance(value, tuple):
        return tuple(map(checked, value))
    return type(value)(**{name: checked(part) for name, part in value}) if isinstance(value, Message) else value


def test_a_lone_surrogate_is_written_as_a_replacement_character():
    octets = alert(ServiceRequestRejected(request_id=REQUEST_ID, response_code=ResponseCode.E901, reason="a\ud800b"))
    assert "<sr:Reason>a\N{REPLACEMENT CHARACTER}b</sr:Reason>".encode() in octets


@given(strategies.requests())
def test_an_unsigned_request_is_the_signed_one_without_its_signature(request: ServiceRequest):
    unsigned = write_request(request, None)
    assert canonical(unsigned) == unsigned
    assert re.sub(rb"<ds:Signature .*</ds:Signature>", b"", write_request(request, ALICE.signer)) == unsigned
    SCHEMAS.validate(parsed(unsigned))


@given(strategies.responses())
def test_a_response_survives_the_wire(sent):
    assert read_response(write_response(sent, BROKER)) == sent


@pytest.mark.parametrize("kind", range(len(strategies.kinds_of_payload())))
@settings(max_examples=20)
@given(data=st.data())
def test_every_kind_of_response_survives_the_wire(kind, data):
    payload = data.draw(strategies.kinds_of_payload()[kind])
    sent = ServiceResponse(
        request_id=REQUEST_ID, code=ResponseCode.I0, at=NOW, srv=SRV.READ_PILOT_PLAN, payload=payload
    )
    assert read_response(write_response(sent, BROKER)) == sent


@given(strategies.alerts(), strategies.response_ids(), strategies.instants())
def test_an_alert_survives_the_wire(sent, response_id, at):
    response_id = response_id.model_copy(update={"target": sent.recipient})
    assert read_alert(write_alert(sent, response_id, at, BROKER)) == (sent, response_id, at)


@pytest.mark.parametrize("kind", range(len(strategies.kinds_of_alert_body())))
@settings(max_examples=20)
@given(data=st.data())
def test_every_kind_of_alert_survives_the_wire(kind, data):
    sent = Alert(recipient=SUPPLIER, body=data.draw(strategies.kinds_of_alert_body()[kind]))
    response_id = ResponseID(originator=DCC, target=SUPPLIER, counter=1)
    assert read_alert(write_alert(sent, response_id, NOW, BROKER)) == (sent, response_id, NOW)


def without_its_value(octets: bytes) -> bytes:
    return re.sub(rb"(<ds:SignatureValue>).*(</ds:SignatureValue>)", rb"\1\2", octets)


@settings(max_examples=20)
@given(st.lists(strategies.alerts(strategies.any_text), max_size=3), strategies.instants())
def test_many_alerts_are_written_as_each_would_be(alerts, at):
    # More than are signed in a row, and the numbers have gaps.
    numbered = [(7 * place, alerts[place % len(alerts)]) for place in range(130 * bool(alerts))]
    written = write_alerts(numbered, DCC, at, BROKER)
    assert len(written) == len(numbered)
    for (counter, sent), (name, octets) in list(zip(numbered, written, strict=True))[-5:]:
        response_id = ResponseID(originator=DCC, target=sent.recipient, counter=counter)
        assert name == str(response_id)
        assert without_its_value(octets) == without_its_value(write_alert(sent, response_id, at, BROKER))
        assert verify(parsed(octets), TRUST, NOW).name == response_id


@settings(max_examples=20)
@given(strategies.alerts(strategies.any_text), strategies.alerts(strategies.any_text))
def test_what_several_are_told_is_written_for_each(one, other):
    body, told = one.body, Throttled(sequence_id=1, count=2)
    alerts = [
        one,
        Alert(recipient=HUB, body=body, throttled=one.throttled),
        Alert(recipient=HUB, body=body, throttled=told),
        Alert(recipient=SUPPLIER, body=body, throttled=told),
        other,
        one,
    ]
    written = write_alerts(list(enumerate(alerts)), DCC, NOW, BROKER)
    for counter, (sent, (_, octets)) in enumerate(zip(alerts, written, strict=True)):
        response_id = ResponseID(originator=DCC, target=sent.recipient, counter=counter)
        assert without_its_value(octets) == without_its_value(write_alert(sent, response_id, NOW, BROKER))
        assert read_alert(octets)[0].throttled == sent.throttled


@settings(max_examples=20)
@given(st.lists(strategies.responses(strategies.any_text), max_size=3))
def test_many_responses_are_written_as_each_would_be(responses):
    written = write_responses(responses, BROKER)
    alone = [write_response(each, BROKER) for each in responses]
    assert list(map(without_its_value, written)) == list(map(without_its_value, alone))
    for octets in written:
        SCHEMAS.validate(parsed(octets))


@settings(max_examples=300)
@given(strategies.alerts(strategies.any_text), strategies.instants())
def test_an_alert_of_any_text_at_all_is_canonical_valid_and_verifies(sent, at):
    octets = write_alert(sent, ResponseID(originator=DCC, target=sent.recipient, counter=1), at, BROKER)
    assert canonical(octets) == octets
    document = parsed(octets)
    SCHEMAS.validate(document)
    assert verify(document, TRUST, NOW).originator == DCC


@given(strategies.responses(strategies.any_text))
def test_a_response_of_any_text_at_all_is_canonical_valid_and_verifies(sent):
    response_id = RequestID(originator=SUPPLIER, target=DCC, counter=sent.request_id.counter)
    octets = write_response(sent.model_copy(update={"request_id": response_id}), BROKER)
    assert canonical(octets) == octets
    document = parsed(octets)
    SCHEMAS.validate(document)
    assert verify(document, TRUST, NOW).originator == DCC


@given(strategies.requests(SUPPLIER, strategies.any_text))
def test_a_request_of_any_text_at_all_is_canonical_valid_and_verifies(request):
    octets = write_request(request, ALICE.signer)
    assert canonical(octets) == octets
    arrived = take(octets)
    assert isinstance(arrived.outcome, ServiceRequest)


def test_the_digest_is_of_the_canonical_document_without_its_signature():
    octets = alert()
    root = etree.fromstring(octets)
    root.remove(root[-1])
    expected = etree.tostring(root, method="c14n")
    assert verify(parsed(octets), TRUST, NOW).digest == hashlib.sha256(expected).digest()


def test_the_signed_info_is_what_exclusive_canonicalisation_gives():
    # Signer makes the octets that it signs from a template: a verifier canonicalises what stands in the document.
    octets = write_request(read(signed()), ALICE.signer)
    (found,) = re.findall(rb"<ds:SignedInfo>.*</ds:SignedInfo>", octets)
    root = etree.fromstring(octets)
    alone = etree.tostring(root[-1][0], method="c14n", exclusive=True)
    assert alone == found.replace(b"<ds:SignedInfo>", b'<ds:SignedInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#">')


def read(octets: bytes) -> ServiceRequest:
    document = parsed(octets)
    return read_request(Verified(SCHEMAS.validate(document), verify(document, TRUST, NOW)))


def test_n64_has_the_shape_of_duis_and_nothing_else():
    unsigned = re.sub(rb"<ds:Signature .*</ds:Signature>", b"", alert(counter=2**64 - 1))
    assert unsigned.decode() == (
        f'<sr:Response xmlns:sr="{SR}" schemaVersion="5.4">'
        f"<sr:Header><sr:ResponseID>{DCC}:{SUPPLIER}:18446744073709551615</sr:ResponseID>"
        "<sr:ResponseCode>I0</sr:ResponseCode><sr:ResponseDateTime>2026-03-01T12:00:00Z</sr:ResponseDateTime>"
        "</sr:Header><sr:Body><sr:DCCAlertMessage><sr:DCCAlertCode>N64</sr:DCCAlertCode><sr:DCCAlert>"
        f"<sr:CommsHubFirmwareActivation><sr:DeviceID>{HUB}</sr:DeviceID>"
        "<sr:FirmwareVersion>1.2.3</sr:FirmwareVersion></sr:CommsHubFirmwareActivation>"
        "</sr:DCCAlert></sr:DCCAlertMessage></sr:Body></sr:Response>"
    )


def test_what_xml_cannot_carry_is_replaced_and_the_rest_escaped():
    body = CampaignStageChanged(
        campaign_id="C1", previous=Stage.PILOT, stage=Stage.PAUSED, reason="a\0b\x1fc\ud800d\ufffee\rf&<>\"'\t\n\x7f€😀"
    )
    octets = alert(body)
    reason = "a\ufffdb\ufffdc\ufffdd\ufffde&#xD;f&amp;&lt;&gt;\"'\t\n\x7f€😀"
    assert f"<sr:Reason>{reason}</sr:Reason>".encode() in octets


def test_the_octets_of_a_response_follow_its_request_id():
    octets = response("8.14.3")
    assert b"<sr:ServiceReference>8.14</sr:ServiceReference>" in octets
    assert b"<sr:ServiceReferenceVariant>8.14.3</sr:ServiceReferenceVariant>" in octets
    assert f"<sr:ResponseID>{DCC}:{SUPPLIER}:17</sr:ResponseID>".encode() in octets


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"<sr:ResponseID>90-B3", b"<sr:ResponseID>91-B3", "the ResponseID is not"),
        (b"I99", b"I98", "unknown response code I98"),
        (f"<sr:RequestID>{SUPPLIER}:{DCC}:17</sr:RequestID>".encode(), b"", "no RequestID"),
        (b"5.4", b"6.0", "schemaVersion"),
    ],
)
def test_a_reply_that_contradicts_itself_is_refused(old, new, reason):
    octets = response("11.6").replace(old, new, 1)
    with pytest.raises(Rejected, match=reason) as refused:
        read_response(octets)
    assert refused.value.code == "E901"
    assert refused.value.path.startswith("/sr:Response")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"<sr:Header>", f"<sr:Header><sr:RequestID>{SUPPLIER}:{DCC}:17</sr:RequestID>".encode(), "no RequestID"),
        (b"I0", b"I99", "ResponseCode is I0"),
        (b"N64", b"N901", "the DCCAlertCode is N901; the alert is N64's"),
    ],
)
def test_an_alert_that_contradicts_itself_is_refused(old, new, reason):
    with pytest.raises(Rejected, match=reason):
        read_alert(alert().replace(old, new, 1))


def test_one_kind_of_document_is_not_read_as_another():
    with pytest.raises(Rejected, match="sr:ResponseMessage is expected"):
        read_response(alert())
    with pytest.raises(Rejected, match="sr:DCCAlertMessage is expected"):
        read_alert(response("11.6"))
    with pytest.raises(Rejected, match="sr:Response is expected"):
        read_alert(signed())


def test_an_alert_cannot_complete_a_request_that_is_not_offered():
    body = ServiceRequestCompleted(
        request_id=RequestID.parse(f"{SUPPLIER}:{DCC}:17"),
        srv=SRV.UPDATE_CAMPAIGN_STATE,
        response_code=ResponseCode.I99,
    )
    with pytest.raises(Rejected, match=r"11\.99 is not offered here"):
        read_alert(alert(body).replace(b"11.23", b"11.99"))


@pytest.mark.parametrize("name", ["ThrottledAlertSequenceId", "ThrottledAlertCount"])
def test_a_throttled_alert_says_both_its_number_and_its_count(name) -> None:
    octets = alert().replace(b"<sr:DCCAlert>", f"<sr:{name}>1</sr:{name}><sr:DCCAlert>".encode(), 1)
    with pytest.raises(Rejected, match="go together"):
        read_alert(octets)
