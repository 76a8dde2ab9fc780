"""Long documents are validated in pieces: the verdict, the place and the bound on faults that are written down."""

import pytest
from lxml import etree

from chfw_sr.messages import Rejected
from chfw_sr.wire import Schemas
from chfw_sr.wire.pieces import PIECE, REPORT, pieces
from tests.wire.makers import SR, activation, hubs, parsed, preferences, report, request, signed

XSI = "http://www.w3.org/2001/XMLSchema-instance"
WRONG = '<sr:DeviceID a="" b="" c="" d=""/><sr:FirmwareVersion/><sr:ActivationDateTime/><sr:Result/>'


def of(octets: bytes):
    root = parsed(octets).root
    return list(pieces(root, root.find(REPORT)))


def long(count: int = 3 * PIECE, **at) -> bytes:
    """A report of so many activations, of which some, by their place from 1, are given."""
    return report(*(at.get(f"n{place}", activation(device=hub)) for place, hub in enumerate(hubs(count), start=1)))


def refused(octets: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        Schemas.load().validate(parsed(octets))
    assert caught.value.code == "E901"
    return caught.value


def test_an_ordinary_document_is_one_piece_and_not_copied():
    for octets in (request(), preferences(), long(PIECE)):
        root = parsed(octets).root
        (only,) = pieces(root, root.find(REPORT))
        assert only.root is root


@pytest.mark.parametrize("count", [PIECE + 1, 2 * PIECE, 3 * PIECE - 1])
def test_every_activation_is_in_one_piece_and_found_again_where_it_came_from(count):
    root = parsed(signed(long(count))).root
    before = etree.tostring(root)
    found = []
    for piece in pieces(root, root.find(REPORT)):
        found += [piece.origin(each) for each in piece.report]
        device = piece.report[-1][0]
        assert piece.origin(device).text == device.text
        assert piece.origin(device) is not device
    assert found == list(root.find(REPORT))
    assert etree.tostring(root) == before


def test_what_is_not_in_the_report_is_judged_with_the_first_piece():
    first, second, _ = of(signed(long()))
    header = first.root[0][0]
    assert first.origin(header) is header
    assert second.origin(second.root[0]) is second.root[0]
    for wrong in (
        long().replace(b">11.30</sr:ServiceReference>", b">11.300</sr:ServiceReference>"),
        long().replace(b"<sr:ReportFirmwareActivation>", b"<sr:ReportFirmwareActivation>text"),
        long().replace(b"<sr:ReportFirmwareActivation>", b'<sr:ReportFirmwareActivation other="x">'),
        long().replace(b"</sr:ReportFirmwareActivation>", b"</sr:ReportFirmwareActivation>text"),
        long().replace(b"<sr:Body>", b"<sr:Body>text"),
        long().replace(b"</sr:Body>", b"</sr:Body><sr:Body/>"),
        long().replace(b'schemaVersion="5.4"', b'schemaVersion="7"'),
    ):
        assert refused(wrong)


@pytest.mark.parametrize("place", [1, PIECE, PIECE + 1, 3 * PIECE])
@pytest.mark.parametrize(
    ("wrong", "child"),
    [
        (activation(result="Perhaps"), "/sr:Result"),
        (f"<sr:Activation>{WRONG}</sr:Activation>", "/sr:DeviceID"),
        ("<sr:Other/>", None),
    ],
)
def test_a_fault_is_found_in_every_piece_with_its_place_in_the_document(place, wrong, child):
    path = refused(long(**{f"n{place}": wrong})).path
    place_of = "sr:Other" if child is None else f"sr:Activation[{place}]{child}"
    assert path == f"/sr:Request/sr:Body/sr:ReportFirmwareActivation/{place_of}"


def test_text_between_activations_is_a_fault_in_every_piece():
    for place in (1, PIECE, 2 * PIECE + 1):
        assert refused(long(**{f"n{place}": activation() + "text"}))


def test_a_name_in_a_value_keeps_its_meaning_in_every_piece():
    typed = activation().replace("<sr:Activation>", '<sr:Activation xsi:type="o:Activation">')
    octets = long(n1=typed, n200=typed).replace(
        b"<sr:Request ", f'<sr:Request xmlns:o="{SR}" xmlns:xsi="{XSI}" '.encode()
    )
    Schemas.load().validate(parsed(octets))
    assert refused(octets.replace(b'"o:Activation"', b'"o:Window"'))


def test_no_fault_is_looked_at_after_the_first_faulty_piece():
    # Each entry costs a walk over siblings. There are 80,000 faults.
    schemas = Schemas(Schemas.load()._entry.parent)
    with pytest.raises(Rejected):
        schemas.validate(parsed(report(*[f"<sr:Activation>{WRONG}</sr:Activation>"] * 10_000)))
    assert 0 < len(schemas._validator.error_log) <= PIECE * 16


def test_more_activations_than_a_report_may_have_are_counted_not_validated():
    caught = refused(report(*["<sr:Activation/>"] * 10_001))
    assert caught.path == "/sr:Request/sr:Body/sr:ReportFirmwareActivation/sr:Activation[10001]"
    assert caught.reason == "a report has at most 10000 activations"


@pytest.mark.parametrize("name", ["Transform", "Reference", "X509Data", "X509IssuerSerial"])
def test_no_part_of_a_signature_is_validated_very_often(name):
    many = signed().replace(
        f"</ds:{name}>".encode(), f"</ds:{name}>".encode() + f'<ds:{name} a="" b=""/>'.encode() * 5000
    )
    schemas = Schemas(Schemas.load()._entry.parent)
    with pytest.raises(Rejected):
        schemas.validate(parsed(many))
    assert 0 < len(schemas._validator.error_log) < 100
