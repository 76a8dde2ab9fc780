"""Documents that have been tampered with, one to three times, in ways that a schema has an opinion on."""

from hypothesis import strategies as st
from lxml import etree

from tests.wire.makers import DS, SR

XSI = "http://www.w3.org/2001/XMLSchema-instance"

VALUES = [
    "",
    " ",
    "0",
    "00",
    "1",
    "-1",
    "+1",
    "01",
    " 2 ",
    "1.0",
    "1e3",
    "8",
    "9",
    "100",
    "100.000001",
    "5.",
    ".5",
    "365",
    "366",
    "2147483647",
    "2147483648",
    "99999999999999999999999999",
    "0" * 5000 + "1",
    "true",
    "TRUE",
    "N64",
    "N65",
    "I0",
    "E0123",
    "11.5",
    "11.50",
    "8.14.3",
    "8.14.3.1",
    "Pilot",
    "pilot",
    " Pilot\n",
    "\u00a0Pilot",
    "North",
    "Success",
    "x" * 30,
    "x" * 31,
    "é" * 8,
    "😀" * 8,
    "😀" * 9,
    "x" * 501,
    "a.b_c-D",
    "a b",
    "x" * 37,
    "90-B3-D5-1F-30-01-00-00",
    " 90-b3-d5-1f-30-01-00-00\t",
    "90-B3-D5-1F-30-01-00-0G",
    "90-B3-D5-1F-30-01-00",
    "90-B3-D5-1F-30-01-00-00,90-B3-D5-1F-30-01-00-01",
    "90-B3-D5-1F-30-01-00-00, 90-B3-D5-1F-30-01-00-01",
    "90-B3-D5-1F-30-01-00-00,",
    ",90-B3-D5-1F-30-01-00-00",
    "90-B3-D5-1F-30-01-00-00:90-B3-D5-1F-30-01-00-01:1",
    " 90-B3-D5-1F-30-01-00-00:90-B3-D5-1F-30-01-00-01:18446744073709551615 ",
    "90-B3-D5-1F-30-01-00-00:90-B3-D5-1F-30-01-00-01:18446744073709551616",
    "90-B3-D5-1F-30-01-00-00:90-B3-D5-1F-30-01-00-01:01",
    "2026-02-28T23:59:59Z",
    " 2026-02-28T23:59:59.123456789+01:00 ",
    "2026-02-28T23:59:59",
    "2026-02-29T00:00:00Z",
    "2024-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "2026-02-28T24:00:00Z",
    "2026-02-28T24:00:00.5Z",
    "2026-02-28T24:00:01Z",
    "2026-02-28T23:60:00Z",
    "2026-02-28T23:59:60Z",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2026-01-32T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-01-01T00:00:00+14:00",
    "2026-01-01T00:00:00+14:01",
    "2026-01-01T00:00:00-14:00",
    "2026-01-01T00:00:00+13:60",
    "2026-01-01T00:00:00-00:00",
    "0000-01-01T00:00:00Z",
    "3000-01-01T00:00:00Z",
    "-2026-01-01T00:00:00Z",
    "12026-01-01T00:00:00Z",
    "2026-01-01T00:00:00.1234567890Z",
    "2026-01-01T00:00:00.Z",
    "2026-01-01",
]
ATTRIBUTES = [
    ("Id", "x"),
    ("Id", "1x"),
    ("schemaVersion", "5"),
    ("schemaVersion", "5.99"),
    ("schemaVersion", "6"),
    ("schemaVersion", "4.9"),
    ("schemaVersion", " 5.4 "),
    ("schemaVersion", "+05.40"),
    ("schemaVersion", "5.4.1"),
    ("schemaVersion", ""),
    ("Algorithm", "urn:x"),
    ("Algorithm", ""),
    ("URI", "#x"),
    ("other", "x"),
    (f"{{{SR}}}schemaVersion", "5.4"),
    ("{http://www.w3.org/XML/1998/namespace}lang", "en"),
    (f"{{{XSI}}}schemaLocation", f"{SR} http://localhost:1/x.xsd"),
    (f"{{{XSI}}}noNamespaceSchemaLocation", "x.xsd"),
    (f"{{{XSI}}}nil", "true"),
    (f"{{{XSI}}}nil", "false"),
    (f"{{{XSI}}}type", "sr:PilotSchedule"),
    (f"{{{XSI}}}type", "sr:EUI"),
    (f"{{{XSI}}}type", "nowhere:EUI"),
    (f"{{{XSI}}}other", "x"),
]
NAMES = [
    f"{{{SR}}}CampaignID",
    f"{{{SR}}}Window",
    f"{{{SR}}}DeviceID",
    f"{{{SR}}}Nonsense",
    f"{{{DS}}}Signature",
    "CampaignID",
    "{urn:x}CampaignID",
]
KINDS = ["text", "attribute", "drop attribute", "rename", "drop", "double", "swap", "insert", "tail"]


def _elements(root):
    return list(root.iter(etree.Element))


def _mutate(root, draw) -> None:
    element = draw(st.sampled_from(_elements(root)))
    parent = element.getparent()
    kind = draw(
        st.sampled_from(["text", "attribute", "drop attribute", "rename", "drop", "double", "swap", "insert", "tail"])
    )
    if kind == "text":
        element.text = draw(st.sampled_from(VALUES))
    elif kind == "tail":
        element.tail = draw(st.sampled_from([" ", "\n", "x"])) if parent is not None else None
    elif kind == "attribute":
        element.set(*draw(st.sampled_from(ATTRIBUTES)))
    elif kind == "drop attribute":
        for name in list(element.attrib):
            del element.attrib[name]
    elif kind == "rename":
        element.tag = draw(st.sampled_from(NAMES))
    elif kind == "insert":
        child = etree.SubElement(element, draw(st.sampled_from(NAMES)))
        child.text = draw(st.sampled_from(VALUES))
    elif parent is None:
        return
    elif kind == "drop":
        parent.remove(element)
    elif kind == "double":
        parent.insert(parent.index(element), etree.fromstring(etree.tostring(element, with_tail=False)))
    else:
        other = draw(st.sampled_from(list(parent)))
        at, to = parent.index(element), parent.index(other)
        if at != to:
            first, second = sorted((at, to))
            late, early = parent[second], parent[first]
            parent.insert(first, late)
            parent.insert(second, early)


@st.composite
def mutants(draw, documents):
    """Mutants of the documents that a strategy draws: octets."""
    root = etree.fromstring(draw(documents))
    for _ in range(draw(st.integers(1, 3))):
        _mutate(root, draw)
    return etree.tostring(root)
