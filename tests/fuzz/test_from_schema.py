"""Documents made from the schemas, through the intake: valid ones, and ones with a single fault.

`CHFW_SR_SCHEMA_EXAMPLES=2000 pytest tests/fuzz/test_from_schema.py` is the longer run.
"""

import contextlib
import os
import shutil

import pytest
import xmlschema
from hypothesis import HealthCheck, Phase, find, given, settings
from lxml import etree
from xmlschema.validators import XsdElement

from chfw_sr.messages import SERVICE_REFERENCES, Rejected, RequestID, ServiceRequest
from chfw_sr.resources import resource_directory
from chfw_sr.wire import Attributed, Limits, Schemas, Unattributed, parse, write_request
from tests.fuzz.from_schema import Drawing, with_one_fault
from tests.fuzz.target import ALPHA, ALPHA_EUI, INTAKE, NOW, SIGNED_CODES, TRUST
from tests.wire.makers import DS, SR
from tests.wire.test_schema import accepted

ENTRY = resource_directory("schemas") / "ServiceUserGateway.xsd"
ORACLE = xmlschema.XMLSchema10(ENTRY, allow="local")
LXML = etree.XMLSchema(file=str(ENTRY))
DRAWING = Drawing(ORACLE)
ROOTS = ["Request", "Response"]
REQUESTS, RESPONSES = map(DRAWING.documents, ROOTS)
EXAMPLES = int(os.environ.get("CHFW_SR_SCHEMA_EXAMPLES", "25"))

bounded = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


def take(octets: bytes) -> Attributed | Unattributed:
    with contextlib.suppress(ValueError):  # a Signature that was doubled or moved: the Signer does not touch it
        octets = ALPHA.sign(octets, replace=True)
    return INTAKE(octets, TRUST, NOW)


def ours(octets: bytes) -> bytes:
    """Make what XSD cannot say true of a request: that its sender signed it, and that its numbers fit its body."""
    root = etree.fromstring(octets)
    header, body = root[0], root[1]
    claimed = RequestID.parse(header.findtext(f"{{{SR}}}RequestID"))
    header.find(f"{{{SR}}}RequestID").text = str(claimed.model_copy(update={"originator": ALPHA_EUI}))
    srv = next(srv for srv, entry in SERVICE_REFERENCES.items() if entry.element == etree.QName(body[0]).localname)
    for name in ("ServiceReference", "ServiceReferenceVariant"):
        header.find(f"{{{SR}}}{name}").text = srv
    return etree.tostring(root)


def check_end(found: Attributed | Unattributed) -> Rejected | ServiceRequest:
    outcome = found.outcome if isinstance(found, Attributed) else found.rejection
    if isinstance(outcome, Rejected):
        assert outcome.code in SIGNED_CODES | {"E902"}
    return outcome


@bounded
@given(document=REQUESTS | RESPONSES)
def test_what_the_schemas_allow_both_validators_accept_and_the_intake_ends(document):
    root = etree.fromstring(document.octets)
    assert ORACLE.is_valid(root)
    assert LXML.validate(root), LXML.error_log
    Schemas.load().validate(parse(document.octets, Limits()))
    check_end(take(document.octets))


@bounded
@given(document=REQUESTS)
def test_a_valid_request_is_read_or_refused_for_what_xsd_cannot_say(document):
    octets = ours(document.octets)
    found = take(octets)
    assert isinstance(found, Attributed), found
    if isinstance(found.outcome, Rejected):
        assert (found.outcome.code, found.outcome.line > 0) == ("E901", True)
        assert found.outcome.path.endswith("/sr:FailureReason")
        return
    written = write_request(found.outcome, ALPHA)
    assert LXML.validate(etree.fromstring(written)), LXML.error_log
    assert ORACLE.is_valid(etree.fromstring(written))
    again = INTAKE(written, TRUST, NOW)
    assert isinstance(again, Attributed)
    assert again.outcome == found.outcome


@settings(bounded, max_examples=2 * EXAMPLES)
@given(octets=with_one_fault(REQUESTS | RESPONSES))
def test_validators_agree_on_one_fault_and_a_refusal_names_its_place(octets):
    root = etree.fromstring(octets)
    valid = LXML.validate(root)
    assert valid == accepted(ORACLE, root), LXML.error_log
    if not valid:
        with pytest.raises(Rejected) as refused:
            Schemas.load().validate(parse(octets, Limits()))
        assert refused.value.code == "E901"
        path = refused.value.path
        assert path.startswith(f"/sr:{etree.QName(root).localname}")
        assert "{" in path or root.xpath(path, namespaces={"sr": SR, "ds": DS})  # braces: a namespace without a prefix
        assert refused.value.line >= 1
    check_end(take(octets))


DECLARED = {each.name: each for root in ROOTS for each in ORACLE.elements[root].iter() if isinstance(each, XsdElement)}


def test_every_element_of_the_schemas_can_be_drawn():
    for name, declared in DECLARED.items():

        @settings(bounded, max_examples=1, database=None, phases=[Phase.generate])
        @given(drawn=DRAWING.elements(declared))
        def draw(drawn):
            assert drawn.root.tag == name  # noqa: B023 - called at once
            assert declared.is_valid(drawn.root)  # noqa: B023 - called at once

        draw()


def test_faults_are_faults_mostly():
    verdicts = []

    @settings(bounded, max_examples=25, derandomize=True, database=None)
    @given(octets=with_one_fault(REQUESTS))
    def spoil(octets):
        verdicts.append(LXML.validate(etree.fromstring(octets)))

    spoil()
    assert verdicts.count(False) > len(verdicts) / 2


def test_requests_are_read_mostly():
    ends = []

    @settings(bounded, max_examples=25, derandomize=True, database=None)
    @given(document=REQUESTS)
    def read(document):
        ends.append(isinstance(take(ours(document.octets)).outcome, ServiceRequest))

    read()
    assert ends.count(True) > len(ends) / 2


def test_a_new_element_is_drawn_by_itself(tmp_path):
    shutil.copytree(ENTRY.parent, tmp_path, dirs_exist_ok=True)
    types = tmp_path / "requests.xsd"
    place = '<xs:element name="ReadPilotPlan" type="sr:ReadPilotPlan"/>'
    added = '<xs:element name="ReadWeather"><xs:simpleType><xs:list itemType="sr:EUI"/></xs:simpleType></xs:element>'
    text = types.read_text(encoding="UTF-8")
    assert place in text
    types.write_text(text.replace(place, place + added), encoding="UTF-8")
    schema = xmlschema.XMLSchema10(tmp_path / ENTRY.name, allow="local")
    first = settings(max_examples=500, phases=[Phase.generate], database=None, derandomize=True)
    weather = f"{{{SR}}}ReadWeather"
    found = find(
        Drawing(schema).documents("Request"), lambda document: document.root[1][0].tag == weather, settings=first
    )
    assert schema.is_valid(found.root)
