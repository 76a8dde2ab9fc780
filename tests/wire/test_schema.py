"""The schemas: two validators agree on every document, and what is refused is explained."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import xmlschema
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lxml import etree

from chfw_sr.messages import ALERTS, SERVICE_REFERENCES, SRV, Rejected, ResponseCode, ResponseID, Stage
from chfw_sr.resources import resource_directory
from chfw_sr.wire import Schemas, write_alert, write_request, write_response
from tests import strategies
from tests.wire.makers import (
    ALICE,
    DCC,
    DS,
    HUB,
    NOW,
    SCHEMAS,
    SR,
    SUPPLIER,
    activation,
    alert,
    hubs,
    parsed,
    preferences,
    report,
    request,
    response,
    signed,
    window,
)
from tests.wire.mutants import mutants

DIRECTORY = resource_directory("schemas")
ENTRY = DIRECTORY / "ServiceUserGateway.xsd"
FILES = sorted(path.name for path in DIRECTORY.iterdir())
XS = "{http://www.w3.org/2001/XMLSchema}"

documents = st.one_of(
    strategies.requests(SUPPLIER).map(lambda message: write_request(message, ALICE.signer)),
    strategies.responses().map(lambda message: write_response(message, ALICE.signer)),
    strategies.alerts().map(
        lambda message: write_alert(
            message, ResponseID(originator=DCC, target=message.recipient, counter=1), NOW, ALICE.signer
        )
    ),
)


@pytest.fixture(scope="module")
def lxml_schema():
    return etree.XMLSchema(file=str(ENTRY))


@pytest.fixture(scope="module")
def oracle():
    return xmlschema.XMLSchema10(ENTRY, allow="local")


def accepted(oracle: xmlschema.XMLSchema10, root) -> bool:
    try:
        return oracle.is_valid(root)
    except xmlschema.XMLSchemaException:  # it raises on an xsi:type that names no type
        return False


def verdict(octets: bytes) -> Rejected | None:
    try:
        SCHEMAS.validate(parsed(octets))
    except Rejected as refused:
        return refused
    return None


def fault(octets: bytes) -> Rejected:
    refused = verdict(octets)
    assert refused is not None
    assert refused.code == "E901"
    return refused


# Two validators


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(octets=documents)
def test_both_accept_what_we_write(lxml_schema, oracle, octets):
    root = etree.fromstring(octets)
    assert lxml_schema.validate(root)
    assert oracle.is_valid(root)


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(octets=mutants(documents))
def test_both_agree_on_mutants(lxml_schema, oracle, octets):
    root = etree.fromstring(octets)
    assert lxml_schema.validate(root) == accepted(oracle, root)


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(octets=mutants(documents))
def test_whatever_is_refused_is_explained_shortly(octets):
    refused = verdict(octets)
    assume(refused is not None)
    assert refused.code == "E901"
    assert 0 < len(refused.reason) < 500
    assert refused.path.startswith("/")
    assert refused.line >= 1


EDGES = [
    (request(version="5"), True),
    (request(version="5.0"), True),
    (request(version="5.99"), True),
    (request(version="4.99"), False),
    (request(version="6"), False),
    (request(version="6.0"), False),
    (request(version="x"), False),
    (request(request_id=f" {SUPPLIER.lower()}:{DCC}:0\n"), True),
    (request(request_id=f"{SUPPLIER}:{DCC}:18446744073709551615"), True),
    (request(request_id=f"{SUPPLIER}:{DCC}:18446744073709551616"), False),
    (request(request_id=f"{SUPPLIER}:{DCC}:99999999999999999999"), False),
    (request(request_id=f"{SUPPLIER}:{DCC}:01"), False),
    (request(request_id=f"{SUPPLIER}:{DCC}"), False),
    (request(header="<sr:CommandVariant>1</sr:CommandVariant>"), True),
    (request(header="<sr:CommandVariant>9</sr:CommandVariant>"), False),
    (request(header="<sr:CommandVariant>0</sr:CommandVariant>"), False),
    (request(header="<sr:FirstInSequence>1</sr:FirstInSequence><sr:CommandVariant>8</sr:CommandVariant>"), True),
    (request(header=""), False),
    (request(attributes=' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="urn:x x"'), True),
    (request(attributes=' other="x"'), False),
    (request("<sr:ReadPilotPlan><sr:CampaignID> C.1_a-B </sr:CampaignID></sr:ReadPilotPlan>"), True),
    (request(f"<sr:ReadPilotPlan><sr:CampaignID>{'x' * 37}</sr:CampaignID></sr:ReadPilotPlan>"), False),
    (request("<sr:ReadPilotPlan><sr:CampaignID>a b</sr:CampaignID></sr:ReadPilotPlan>"), False),
    (request("<sr:ReadPilotPlan><sr:CampaignID></sr:CampaignID></sr:ReadPilotPlan>"), False),
    (request("<sr:ReadPilotPlan/>"), False),
    (request(""), False),
    (preferences(HUB), True),
    (preferences(HUB, window()), True),
    (preferences(None, window()), True),
    (preferences(None, None), False),
    (preferences(""), False),
    (preferences(HUB.lower()), True),
    (preferences(f"{HUB},{HUB}"), True),
    (preferences(f"{HUB}, {HUB}"), False),
    (preferences(f" {HUB}"), False),
    (preferences(f"{HUB},"), False),
    (preferences(HUB, ""), False),
    (preferences(HUB, "".join(window(n) for n in range(1, 101))), True),
    (preferences(HUB, "".join(window(n) for n in range(1, 102))), False),
    (preferences(HUB, window(1) + window(1)), False),
    (preferences(HUB, window(1) + window("01")), False),
    (preferences(HUB, window(0)), False),
    (preferences(HUB, window(1, "<sr:MaxDevices>1</sr:MaxDevices>")), True),
    (preferences(HUB, window(1, "<sr:MaxDevices>0</sr:MaxDevices>")), False),
    (report(activation(device=HUB.lower())), True),
    (report(activation(version="x" * 8)), True),
    (report(activation(version="x" * 9)), False),
    (report(activation(version="")), False),
    (report(activation(at="2026-02-01T00:00:00+01:00")), True),
    (report(activation(at="2026-02-01T24:00:00Z")), True),
    (report(activation(at="2026-02-01T00:00:00.123456789Z")), True),
    (report(activation(at="2026-02-01T00:00:00")), False),
    (report(activation(at="2026-02-30T00:00:00Z")), False),
    (report(activation(at="0999-02-01T00:00:00Z")), False),
    (report(activation(result="success")), False),
    (report(activation(rest=f"<sr:FailureReason>{'x' * 250}</sr:FailureReason>")), True),
    (report(activation(rest=f"<sr:FailureReason>{'x' * 251}</sr:FailureReason>")), False),
    (report(), False),
]


@pytest.mark.parametrize(("octets", "good"), EDGES, ids=range(len(EDGES)))
def test_both_draw_the_line_where_the_contract_does(lxml_schema, oracle, octets, good):
    root = etree.fromstring(octets)
    assert (lxml_schema.validate(root), oracle.is_valid(root)) == (good, good)


def test_both_count_to_ten_thousand_activations(lxml_schema):
    assert lxml_schema.validate(etree.fromstring(report(*[activation()] * 10_000)))
    assert not lxml_schema.validate(etree.fromstring(report(*[activation()] * 10_001)))


def test_both_take_fifty_thousand_hubs_and_not_one_more(lxml_schema, oracle):
    full = etree.fromstring(preferences(",".join(hubs(50_000))))
    assert (lxml_schema.validate(full), oracle.is_valid(full)) == (True, True)
    beyond = etree.fromstring(preferences(",".join(hubs(50_001))))
    assert (lxml_schema.validate(beyond), oracle.is_valid(beyond)) == (False, False)


# The schemas say what the code says


def enumeration(file: str, name: str) -> set[str]:
    found = etree.parse(DIRECTORY / file).find(f"{XS}simpleType[@name='{name}']")
    return {value.get("value") for value in found.iter(f"{XS}enumeration")}


def choice(file: str, name: str) -> list[str]:
    found = etree.parse(DIRECTORY / file).find(f"{XS}complexType[@name='{name}']/{XS}choice")
    return [element.get("name") for element in found]


def test_the_lists_of_the_schema_are_those_of_the_catalogue():
    assert enumeration("requests.xsd", "OfferedServiceReference") == set(SRV)
    assert choice("requests.xsd", "RequestBody") == [entry.element for entry in SERVICE_REFERENCES.values()]
    assert enumeration("alerts.xsd", "DCCAlertCode") == set(ALERTS)
    assert choice("alerts.xsd", "DCCAlert") == [entry.element for entry in ALERTS.values()]
    assert enumeration("types.xsd", "Stage") == set(Stage)


@pytest.mark.parametrize("code", ResponseCode)
def test_every_response_code_may_be_sent(lxml_schema, code):
    octets = response().replace(b"<sr:ResponseCode>I99", f"<sr:ResponseCode>{code}".encode())
    assert lxml_schema.validate(etree.fromstring(octets))


@pytest.mark.parametrize("file", FILES)
def test_a_schema_is_documented_and_stays_at_home(file):
    root = etree.parse(DIRECTORY / file).getroot()
    assert root.find(f"{XS}annotation/{XS}documentation") is not None
    for component in root:
        if component.get("name") is not None:
            text = component.findtext(f".//{XS}documentation")
            assert text, f"{component.get('name')} has no documentation"
            assert text.strip()
    for reference in root.iter(f"{XS}include", f"{XS}import"):
        assert reference.get("schemaLocation") in FILES


def test_only_the_two_roots_are_global():
    roots = {element.get("name") for file in FILES for element in etree.parse(DIRECTORY / file).findall(f"{XS}element")}
    assert roots == {"Request", "Response", "Signature"}


def test_the_schemas_may_lie_in_a_folder_with_blanks(tmp_path):
    there = tmp_path / "a folder, with blanks"
    shutil.copytree(DIRECTORY, there)
    schemas = Schemas(there)
    schemas.validate(parsed(request()))
    with pytest.raises(Rejected, match="CommandVariant"):
        schemas.validate(parsed(request(header="")))


def test_the_schemas_are_compiled_once():
    assert Schemas.load() is Schemas.load()


# Explanations


FAULTS = [
    (b"<a/>", "/a", "the root is a, not sr:Request or sr:Response"),
    (f'<ds:Signature xmlns:ds="{DS}"/>'.encode(), "/ds:Signature", "the root is ds:Signature, not"),
    (request(version="4"), "/sr:Request", "schemaVersion"),
    (
        request(header=""),
        "/sr:Request/sr:Header/sr:ServiceReference",
        "sr:ServiceReference is not expected here, but ",
    ),
    (
        request("<sr:ReadPilotPlan/>"),
        "/sr:Request/sr:Body/sr:ReadPilotPlan",
        "sr:ReadPilotPlan is not complete: sr:CampaignID is missing",
    ),
    (
        request(
            "<sr:UpdateCampaignState><sr:CampaignID>C1</sr:CampaignID><sr:Reason>x</sr:Reason></sr:UpdateCampaignState>"
        ),
        "/sr:Request/sr:Body/sr:UpdateCampaignState/sr:Reason",
        "sr:Reason is not expected here, but sr:Action",
    ),
    (
        signed().replace(b"</ds:Signature>", b"</ds:Signature><sr:More/>"),
        "/sr:Request/sr:More",
        "sr:More is not expected here, but nothing more",
    ),
    (
        report(activation(), activation(device="rubbish")),
        "/sr:Request/sr:Body/sr:ReportFirmwareActivation/sr:Activation[2]/sr:DeviceID",
        "'rubbish': does not have the form of EUI",
    ),
    (
        report(activation(at="2026-02-01T00:00:00")),
        "/sr:Request/sr:Body/sr:ReportFirmwareActivation/sr:Activation/sr:ActivationDateTime",
        "'2026-02-01T00:00:00': does not have the form of DateTime",
    ),
    (
        request(header=f"<sr:CommandVariant>{'9' * 100}</sr:CommandVariant>"),
        "/sr:Request/sr:Header/sr:CommandVariant",
        f"'{'9' * 59}…': does not have the form of CommandVariant",
    ),
    (
        preferences(HUB, window(7) + window(7)),
        "/sr:Request/sr:Body/sr:UpdatePilotPreferences/sr:PreferredPilotSchedule/sr:Window[2]",
        "its WindowID is in this schedule already",
    ),
    (
        request(
            '<sr:ReadPilotPlan><sr:CampaignID xmlns:i="http://www.w3.org/2001/XMLSchema-instance" '
            'i:type="nowhere:CampaignID">C1</sr:CampaignID></sr:ReadPilotPlan>'
        ),
        "/sr:Request/sr:Body/sr:ReadPilotPlan/sr:CampaignID",
        "nowhere:CampaignID",
    ),
    (
        request(attributes=' xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="nowhere:Request"'),
        "/sr:Request",
        "nowhere:Request",
    ),
    (
        request(""),
        "/sr:Request/sr:Body",
        "sr:DeletePilotPreferences or sr:ReadSafeLaunchSchedule or another is missing",
    ),
    (
        request().replace(b"<sr:Body>", b"<sr:Body>text"),
        "/sr:Request/sr:Body",
        "character data between child elements not allowed",
    ),
    (
        report(activation(at="2026-02-30T00:00:00Z")),
        "/sr:Request/sr:Body/sr:ReportFirmwareActivation/sr:Activation/sr:ActivationDateTime",
        "'2026-02-30T00:00:00Z': day is out of range",
    ),
    (
        report(activation(result="Perhaps")),
        "/sr:Request/sr:Body/sr:ReportFirmwareActivation/sr:Activation/sr:Result",
        "'Perhaps': value must be one of ['Success', 'Failure']",
    ),
]


@pytest.mark.parametrize(("octets", "path", "reason"), FAULTS, ids=range(len(FAULTS)))
def test_a_fault_is_explained_with_its_place(octets, path, reason):
    refused = fault(octets)
    assert refused.path == path
    assert reason in refused.reason
    assert refused.line == 1


def test_the_line_is_that_of_the_faulty_element():
    octets = report(activation(), "\n", activation(), "\n", activation(result="Perhaps"))
    assert fault(octets).line == 3


@pytest.mark.parametrize("position", [1, 25_000, 50_000])
@pytest.mark.parametrize("item", ["", "00-DB-12-34-56-78-90-G0", " 00-DB-12-34-56-78-90-A0", "x" * 1000])
def test_a_list_of_fifty_thousand_is_explained_by_its_wrong_item(position, item):
    devices = hubs(50_000)
    devices[position - 1] = item
    refused = fault(preferences(",".join(devices)))
    shown = item if len(item) < 60 else item[:59] + "…"
    assert refused.reason == f"item {position} of the list, {shown!r}, is not an EUI"
    assert refused.path == "/sr:Request/sr:Body/sr:UpdatePilotPreferences/sr:PreferredPilotList"


def test_a_list_of_too_many_is_explained_by_their_number():
    reason = fault(preferences(",".join(hubs(50_001)))).reason
    assert reason == "the list has 50001 EUIs; at most 50000 are accepted"


def test_a_document_of_very_many_elements_is_explained_by_lxml():
    good = [activation()] * 3000
    refused = fault(report(*good, "\n", activation(result="Perhaps")))
    assert refused.path == "/sr:Request/sr:Body/sr:ReportFirmwareActivation/sr:Activation[3001]/sr:Result"
    assert refused.line == 2
    assert "'Perhaps'" in refused.reason
    assert "{" not in refused.reason.replace("{'Success', 'Failure'}", "")


def test_a_document_of_very_many_elements_in_other_prefixes_is_explained_too():
    many = activation() * 3000 + activation(result="Perhaps")
    default = report(many).decode().replace("sr:", "").replace("xmlns:sr", "xmlns")
    refused = fault(default.encode())
    assert refused.path == "/sr:Request/sr:Body/sr:ReportFirmwareActivation/sr:Activation[3001]/sr:Result"
    inner = report(many).decode().replace("<sr:Body>", f'<q:Body xmlns:q="{SR}">').replace("</sr:Body>", "</q:Body>")
    inner = inner.replace("<sr:Result>", "<q:Result>").replace("</sr:Result>", "</q:Result>")
    assert fault(inner.encode()).path == refused.path


def test_lxml_has_the_word_where_the_explainer_finds_no_fault(monkeypatch):
    schemas = Schemas(DIRECTORY)
    monkeypatch.setattr(schemas._explainer._schema, "iter_errors", lambda _root: iter(()))
    with pytest.raises(Rejected, match=r"sr:ServiceReference.*not expected") as refused:
        schemas.validate(parsed(request(header="")))
    assert refused.value.path == "/sr:Request/sr:Header/sr:ServiceReference"


@pytest.mark.parametrize("year", ["9" * 12, "-" + "9" * 12, "9" * 5000])
def test_a_value_that_the_explainer_fails_on_is_explained_by_lxml(year):
    # Found by fuzzing: a year of many digits is an overflow to the explainer.
    refused = fault(report(activation(at=f"{year}-01-01T00:00:00Z")))
    assert refused.path.endswith("/sr:ActivationDateTime")


def test_many_threads_get_the_verdicts_that_are_theirs():
    good, bad = [signed(), alert(), response()], [request(header=""), request(version="4"), preferences("x")]
    start = threading.Barrier(8)

    def verdicts(_worker: int) -> list[bool]:
        start.wait()
        return [verdict(octets) is None for octets in (good + bad) * 10]

    with ThreadPoolExecutor(8) as pool:
        assert all(found == ([True] * 3 + [False] * 3) * 10 for found in pool.map(verdicts, range(8)))
