"""The order of the checks, and to whom a document is attributed."""

import base64
import contextlib
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chfw_sr.messages import Rejected, ServiceRequest
from chfw_sr.wire import Attributed, Intake, Limits, Unattributed, verify, write_request
from tests import strategies
from tests.wire.makers import (
    ACCESS_CONTROL_BROKER,
    ALICE,
    INTAKE,
    NOW,
    REQUEST_ID,
    SCHEMAS,
    SR,
    SUPPLIER,
    TRUST,
    activation,
    alert,
    hubs,
    parsed,
    preferences,
    report,
    request,
    response,
    signed,
    take,
)
from tests.wire.mutants import mutants

FORGER = ACCESS_CONTROL_BROKER.signer


def test_a_good_request_is_attributed_and_read():
    octets = signed()
    found = take(octets)
    assert isinstance(found, Attributed)
    assert (found.request_id, found.srv) == (REQUEST_ID, "11.5")
    assert isinstance(found.outcome, ServiceRequest)
    assert found.outcome.request_id == REQUEST_ID
    assert found.digest == verify(parsed(octets), TRUST, NOW).digest


def test_a_repeat_has_the_same_digest_though_it_is_signed_again():
    assert take(signed(request())).digest == take(signed(request())).digest
    assert take(signed(request())).digest != take(signed(preferences())).digest


def test_many_are_taken_as_they_would_be_alone():
    large = preferences(",".join(hubs(12_000)))
    wrong_key = signed().replace(b"<ds:SignatureValue>", b"<ds:SignatureValue>AAAA").replace(b"==</ds:S", b"</ds:S")
    documents = [signed(), b"nonsense", signed(large), signed(large), FOREIGN, forged(), wrong_key, report(), b""]
    together = INTAKE.take(documents, TRUST, NOW)
    assert list(map(told, together)) == [told(take(octets)) for octets in documents]
    assert [type(end) for end in together[:4]] == [Attributed, Unattributed, Attributed, Attributed]
    assert INTAKE.take([], TRUST, NOW) == []


def forged() -> bytes:
    """A request with the Signature of its like: everything fits but the signature's arithmetic."""
    one, other = signed(), signed()
    value = re.compile(rb"<ds:SignatureValue>.*</ds:SignatureValue>")
    swapped = base64.b64decode(value.search(other)[0][19:-20])
    return value.sub(
        b"<ds:SignatureValue>" + base64.b64encode(swapped[32:] + swapped[:32]) + b"</ds:SignatureValue>", one
    )


def told(end: Attributed | Unattributed) -> tuple[object, ...]:
    fault = end.rejection if isinstance(end, Unattributed) else end.outcome
    return type(end), end.request_id, end.srv, (fault.code, fault.reason) if isinstance(fault, Rejected) else fault


def test_a_signature_whose_arithmetic_is_wrong_attributes_nothing():
    found = take(forged())
    assert isinstance(found, Unattributed)
    assert "was not made with the key" in found.rejection.reason


MANY = "<x>" * 100 + "</x>" * 100
WRONG = request("<sr:ReadPilotPlan/>")
FOREIGN = request("<sr:ReadInventory/>", "8.2", header="")
ELSEWHERE = request(srv="11.5", reference="11.6")


@pytest.mark.parametrize(
    ("octets", "code", "request_id", "srv"),
    [
        (b"x" * (4 * 1024 * 1024 + 1), "E900", None, None),
        (signed()[:-1], "E900", None, None),
        (signed().replace(b"<sr:Body>", f"<sr:Body>{MANY}".encode()), "E900", None, None),
        (b"<a/>", "E901", None, None),
        (b"<Request/>", "E901", None, None),
        (signed(request(request_id="nobody")), "E901", None, "11.5"),
        (alert(), "E901", None, None),
        (response(), "E901", None, None),
        (FOREIGN, "E905", REQUEST_ID, "8.2"),
        (signed(FOREIGN, FORGER), "E905", REQUEST_ID, "8.2"),
        (WRONG, "E901", REQUEST_ID, "11.5"),
        (signed(WRONG, FORGER), "E901", REQUEST_ID, "11.5"),
        (signed(WRONG).replace(b":17<", b":18<"), "E901", REQUEST_ID.model_copy(update={"counter": 18}), "11.5"),
        (request(), "E902", REQUEST_ID, "11.5"),
        (signed(request(), FORGER), "E902", REQUEST_ID, "11.5"),
        (signed(ELSEWHERE, FORGER), "E902", REQUEST_ID, "11.5"),
    ],
    ids=range(16),
)
def test_the_first_fault_is_the_answer_to_anybody(octets, code, request_id, srv):
    found = take(octets)
    assert isinstance(found, Unattributed)
    assert (found.rejection.code, found.request_id, found.srv) == (code, request_id, srv)


@pytest.mark.parametrize(
    ("octets", "code", "srv", "reason"),
    [
        (FOREIGN, "E905", "8.2", "Service Reference Variant 8.2 is not offered here"),
        (request("<sr:Other/>", "8.14.3"), "E905", "8.14.3", "8.14.3 is not offered here"),
        (request("<sr:Other/>", " 11.1 "), "E905", "11.1", "11.1 is not offered here"),
        (WRONG, "E901", "11.5", "sr:CampaignID is missing"),
        (request(srv="nonsense", reference="11.5"), "E901", None, "'nonsense'"),
        (request(srv="8.2.3.4", reference="11.5"), "E901", None, "'8.2.3.4'"),
        (ELSEWHERE, "E901", "11.5", "ServiceReference is 11.6; the body is 11.5's"),
        (request(version="6"), "E901", "11.5", "schemaVersion"),
        (report(activation(rest="<sr:FailureReason>x</sr:FailureReason>")), "E901", "11.30", "with a Failure only"),
    ],
    ids=range(9),
)
def test_a_fault_is_attributed_if_the_signature_verifies(octets, code, srv, reason):
    found = take(signed(octets))
    assert isinstance(found, Attributed)
    assert isinstance(found.outcome, Rejected)
    assert (found.outcome.code, found.srv, found.request_id) == (code, srv, REQUEST_ID)
    assert reason in found.outcome.reason
    assert len(found.digest) == 32


def test_what_is_claimed_twice_is_not_believed():
    header = f"</sr:Header><sr:Header><sr:RequestID>{REQUEST_ID}</sr:RequestID>"
    found = take(signed(request().replace(b"<sr:CommandVariant>", header.encode() + b"<sr:CommandVariant>")))
    assert isinstance(found, Unattributed)
    assert (found.rejection.code, found.request_id) == ("E901", None)
    twice = request().replace(
        b"</sr:Header>", b"<sr:ServiceReferenceVariant>8.2</sr:ServiceReferenceVariant></sr:Header>"
    )
    assert take(twice).srv is None
    inside = request().replace(b">11.5</sr:ServiceReferenceVariant>", b">8.2<x/></sr:ServiceReferenceVariant>")
    assert take(inside).srv is None


def test_a_certificate_holds_at_the_time_of_the_intake():
    later = ALICE.certificate.not_valid_after_utc + timedelta(seconds=1)
    found = take(signed(), now=later)
    assert isinstance(found, Unattributed)
    assert found.rejection.code == "E902"


def test_the_limits_are_the_callers():
    small = Intake(SCHEMAS, Limits(max_octets=100))
    assert small(signed(), TRUST, NOW).rejection.reason.endswith("at most 100 are accepted")


def test_long_lists_are_taken_whole():
    devices = hubs(50_000)
    assert take(signed(preferences(",".join(devices)))).outcome.body.preferred_list == tuple(devices)
    many = take(signed(report(*(activation(device=device) for device in devices[:10_000]))))
    assert [each.device_id for each in many.outcome.body.activations] == devices[:10_000]


def test_a_batch_is_taken_by_several_threads():
    documents = [signed(), signed(FOREIGN), request(), b"<a", signed(WRONG), signed(preferences())] * 20
    expected = [take(octets) for octets in documents]

    def gist(found: Attributed | Unattributed):
        if isinstance(found, Unattributed):
            return found.rejection.code, found.request_id, found.srv
        return found.outcome.code if isinstance(found.outcome, Rejected) else found.outcome, found.digest

    with ThreadPoolExecutor(4) as pool:
        assert list(map(gist, pool.map(take, documents))) == list(map(gist, expected))


# Any octets end in one of the two values


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_any_octets_have_an_end(octets):
    assert isinstance(take(octets), Unattributed)


GOOD = signed(preferences())


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.binary(max_size=3)), min_size=1, max_size=4))
def test_any_damage_has_an_end(changes):
    octets = bytearray(GOOD)
    for position, piece in changes:
        octets[position : position + len(piece)] = piece
    found = take(bytes(octets))
    assert isinstance(found, Unattributed) or isinstance(found.outcome, ServiceRequest)


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(mutants(strategies.requests(originator=SUPPLIER).map(lambda message: write_request(message, None))))
def test_any_document_that_is_signed_has_an_end(octets):
    with contextlib.suppress(ValueError, Rejected):  # what cannot be signed is taken as it is
        octets = ALICE.signer.sign(octets, replace=True)
    found = take(octets)
    if isinstance(found, Attributed) and isinstance(found.outcome, ServiceRequest):
        assert take(write_request(found.outcome, ALICE.signer)).outcome == found.outcome
    elif isinstance(found, Attributed):
        assert found.outcome.code in {"E901", "E905"}
    else:
        assert found.rejection.code in {"E901", "E902", "E905"}


def test_an_element_of_another_namespace_is_not_the_header():
    octets = f'<sr:Request xmlns:sr="{SR}" schemaVersion="5.4"><Header><RequestID>{REQUEST_ID}</RequestID></Header>'
    assert take(f"{octets}</sr:Request>".encode()).request_id is None


def test_a_header_of_any_length_is_read_alike():
    more = "".join(f"<sr:More{number}/>" for number in range(40))
    for header in (f"<sr:RequestID>{REQUEST_ID}</sr:RequestID>", "<sr:RequestID>x</sr:RequestID>" * 2, ""):
        octets = f'<sr:Request xmlns:sr="{SR}" schemaVersion="5.4"><sr:Header>{header}MORE</sr:Header></sr:Request>'
        short, long = (take(octets.replace("MORE", rest).encode()) for rest in ("", more))
        assert short.request_id == long.request_id == (REQUEST_ID if str(REQUEST_ID) in header else None)


def test_an_identifier_that_holds_elements_is_none():
    octets = f'<sr:Request xmlns:sr="{SR}"><sr:Header><sr:RequestID>{REQUEST_ID}<x/></sr:RequestID></sr:Header>'
    assert take(f"{octets}</sr:Request>".encode()).request_id is None
