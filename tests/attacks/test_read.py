"""What is read is what was signed: whole, once, and nothing else."""

import copy
import re
from xml.etree import ElementTree as ET

import pytest
from lxml import etree

from chfw_sr.messages import SRV
from chfw_sr.wire import Limits, Parsed, Schemas, Verified, parse, read_request, verify
from tests.attacks.forge import document, forged
from tests.wire.makers import ALICE, NOW, SR, TRUST, request, signed, take

TEXT = re.compile(rb"(?<=>)[^<>]+(?=</sr:)")

DISGUISES = {
    "a comment inside": lambda text: text[:1] + b"<!-- not this -->" + text[1:],
    "a comment before": lambda text: b"<!---->" + text,
    "a comment behind": lambda text: text + b"<!-- and more -->",
    "CDATA": lambda text: b"<![CDATA[" + text + b"]]>",
    "CDATA in part": lambda text: text[:1] + b"<![CDATA[" + text[1:] + b"]]>",
    "references": lambda text: b"".join(b"&#%d;" % octet for octet in text),
    "references in hexadecimal": lambda text: b"".join(b"&#x%X;" % octet for octet in text),
}


@pytest.mark.parametrize("srv", list(SRV))
@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
def test_a_value_is_read_whole_however_it_is_written(disguise, srv):
    # The canonical form is the same, so the signature holds: a reader that stopped at the comment would read another.
    octets = signed(document(srv))
    body, end = octets.split(b"<ds:Signature ")
    disguised = TEXT.sub(lambda found: disguise(found[0]), body)
    assert disguised != body
    assert take(disguised + b"<ds:Signature " + end).outcome == take(octets).outcome


def reason_of(octets: bytes) -> str:
    return take(octets).outcome.body.reason


def state(reason: str) -> bytes:
    content = f"<sr:CampaignID>C1</sr:CampaignID><sr:Action>Pause</sr:Action><sr:Reason>{reason}</sr:Reason>"
    return request(f"<sr:UpdateCampaignState>{content}</sr:UpdateCampaignState>", "11.23")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a&#13;b", "a\rb"),
        ("a&#13;&#10;b", "a\r\nb"),
        ("a\r\nb", "a\nb"),
        ("a\rb", "a\nb"),
        ("a\tb", "a\tb"),
        ("&#9;a&#32;&#32;", "\ta  "),
        ("  a  ", "  a  "),
        ("a&#x85;b", "a\x85b"),
        ("a\u2028b", "a\u2028b"),
        ("&lt;sr:Reason&gt;", "<sr:Reason>"),
        ("&amp;lt;", "&lt;"),
        ("&amp;amp;lt;", "&amp;lt;"),
        ("a]]&gt;b", "a]]>b"),
        ("e\u0301", "e\u0301"),
        ("\ufeffa", "\ufeffa"),
        ("<![CDATA[&lt;]]>", "&lt;"),
        ("<![CDATA[a\r\n]]>", "a\n"),
    ],
)
def test_a_text_means_the_same_to_the_signature_to_us_and_to_another_parser(written, read):
    octets = signed(state(written))
    assert reason_of(octets) == read
    canonical = etree.tostring(etree.fromstring(octets).getroottree(), method="c14n", with_comments=False)
    for again in (octets, canonical):
        assert ET.fromstring(again).findtext(f".//{{{SR}}}Reason") == read  # expat, not libxml2
        assert reason_of(again) == read


def evil() -> bytes:
    return document(SRV.UPDATE_PILOT_PREFERENCES, "EVIL")


def test_nothing_is_read_from_the_octets_behind_the_tree():
    good = parse(signed(document(SRV.UPDATE_PILOT_PREFERENCES)), Limits())
    two_faced = Parsed(good.root, signed(evil()))
    valid = Schemas.load().validate(two_faced)
    found = read_request(Verified(valid, verify(two_faced, TRUST, NOW)))
    assert found.body.campaign_id == "C1"


def test_a_second_parse_would_be_noticed(monkeypatch):
    # From the second on, every parse in the process gives another request, as well formed and as valid: whoever parses
    # twice reads that.
    octets, other = signed(document(SRV.UPDATE_PILOT_PREFERENCES)), etree.fromstring(signed(evil()))
    take(octets)  # what is loaded once is loaded
    real, parses = etree.fromstring, []

    def first_only(text, *args, **kwargs):
        parses.append(text)
        return real(text, *args, **kwargs) if len(parses) == 1 else copy.deepcopy(other)

    monkeypatch.setattr(etree, "fromstring", first_only)
    monkeypatch.setattr(etree, "XML", first_only)
    monkeypatch.setattr(etree, "parse", lambda *_args, **_kwargs: other.getroottree())
    monkeypatch.setattr(ET, "fromstring", lambda *_args: ET.Element("evil"))
    found = take(octets)
    assert found.outcome.body.campaign_id == "C1"
    assert len(parses) == 1


def test_what_verified_is_what_is_read_though_the_callers_octets_change_meanwhile():
    octets = bytearray(signed(document(SRV.UPDATE_PILOT_PREFERENCES)))
    parsed = parse(bytes(octets), Limits())
    octets[:] = b"x" * len(octets)
    assert verify(parsed, TRUST, NOW).digest == take(ALICE.signer.sign(document(SRV.UPDATE_PILOT_PREFERENCES))).digest


def test_an_unknown_prefix_of_the_same_namespace_reads_the_same():
    octets = document(SRV.REPORT_FIRMWARE_ACTIVATION).replace(b"sr:", b"q:").replace(b"xmlns:sr", b"xmlns:q")
    assert take(forged(octets)).outcome == take(signed(document(SRV.REPORT_FIRMWARE_ACTIVATION))).outcome
