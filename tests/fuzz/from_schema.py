"""Hypothesis strategies made from the schemas: whole documents that are valid, and documents with one fault.

Nothing here knows an element's name: sequences, choices, occurrences, attributes and facets are read from the compiled
schema, so a new element is drawn as soon as the schema has it. Values are made for their facets, and those that the
type itself (`xmlschema`'s opinion) refuses are drawn again; lxml has its own opinion, in the tests.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, timedelta, timezone
from decimal import Decimal

from elementpath.regex import translate_pattern
from hypothesis import strategies as st
from lxml import etree
from xmlschema.validators import XsdAnyElement, XsdElement, XsdGroup, XsdList, XsdUnion

from tests.strategies import xml_text

MOST_REPEATS = 3
"""More of one kind beside each other are drawn for nothing that two or three would not show."""
LONGEST = 600
"""Characters: a text is drawn at its facets' edges if they are not farther."""
LARGEST = 10**20
BLANKS = ["", "", "", " ", "\n\t", "\r "]


@dataclass(frozen=True)
class Document:
    """A document that was drawn, and what its schema says of its texts.

    Attributes:
        root: the tree.
        values: the simple type of each attribute (by name) and of each text (None).
    """

    root: etree._Element
    values: list[tuple[etree._Element, str | None, object]]

    @property
    def octets(self) -> bytes:
        """The document as UTF-8."""
        return etree.tostring(self.root, encoding="UTF-8", xml_declaration=True)


# Values


def _facets(simple, name):
    """Give a facet's value as the type or the nearest of its bases has it."""
    while simple is not None:
        found = getattr(simple, name, None)
        if found is not None:
            return found
        simple = simple.base_type
    return None


def _patterns(simple):
    """Give the patterns of the type that has some, as regular expressions of Python."""
    found = _facets(simple, "patterns")
    if found is None:
        return []
    python = (translate_pattern(each, back_references=False, lazy_quantifiers=False) for each in found.regexps)
    return [re.compile(each) for each in python]


def _numbers(simple):
    low, high = _facets(simple, "min_value"), _facets(simple, "max_value")
    low, high = (-LARGEST if low is None else low), (LARGEST if high is None else high)
    whole = st.integers(int(low), int(high)) | st.sampled_from([int(low), int(high)])
    spelt = whole.map(str) | st.builds("{}{:03}".format, st.sampled_from(["+", "0", ""]), whole)
    if simple.is_valid("0.5") or simple.is_valid("5.5"):
        spelt |= st.decimals(Decimal(low), Decimal(high), places=2).map(str) | whole.map("{}.".format)
    return spelt


def _moments(simple):
    """Dates and times of those centuries that the type takes, and midnights at the end of a day."""
    centuries = [year for year in range(100, 10_000, 100) if simple.is_valid(f"{year:04}-01-01T00:00:00Z")]
    offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    spelt = st.datetimes(timezones=offsets | st.just(UTC)).map(lambda at: at.isoformat()[4:])
    spelt = spelt.map(lambda text: text.replace("+00:00", "Z")) | spelt
    spelt |= spelt.map(lambda text: re.sub(r"T[0-9:.]+", "T24:00:00", text))
    return st.builds("{:04}{}".format, st.builds(int.__add__, st.sampled_from(centuries), st.integers(0, 99)), spelt)


def _texts(simple):
    exact = _facets(simple, "length")
    low = exact or _facets(simple, "min_length") or 0
    high = exact or _facets(simple, "max_length")
    drawn = xml_text(low, min(low + 20, LONGEST if high is None else high))
    edges = {each for each in (low, high) if each is not None and each <= LONGEST}
    return drawn | st.builds(str.__mul__, st.sampled_from("xé€😀"), st.sampled_from(sorted(edges))) if edges else drawn


def values(simple) -> st.SearchStrategy[str]:
    """Texts that a simple type allows.

    Args:
        simple: a simple type of the compiled schema.
    """
    if isinstance(simple, XsdUnion):
        return st.one_of(*map(values, simple.member_types))
    if isinstance(simple, XsdList):
        return st.lists(values(simple.item_type), max_size=MOST_REPEATS).map(" ".join).filter(simple.is_valid)
    enumeration, patterns, kind = _facets(simple, "enumeration"), _patterns(simple), simple.primitive_type.local_name
    if enumeration is not None:
        drawn = st.sampled_from([str(each) for each in enumeration])
    elif kind in {"decimal", "float", "double"}:
        drawn = _numbers(simple)
    elif kind == "dateTime":
        drawn = _moments(simple)
    elif kind == "boolean":
        drawn = st.sampled_from(["true", "false", "1", "0"])
    elif patterns and simple.is_derived(simple.maps.types["{http://www.w3.org/2001/XMLSchema}Name"]):
        drawn = st.from_regex("[A-Za-z_][A-Za-z0-9._-]{0,9}", fullmatch=True)
    elif patterns:
        drawn = st.one_of(*(st.from_regex(each, fullmatch=True) for each in patterns))
    elif kind == "anyURI":
        drawn = st.sampled_from(["", "#x", "urn:x", "http://localhost/x"])
    else:
        drawn = _texts(simple)
    if simple.white_space == "collapse":
        drawn = st.builds("{1}{0}{2}".format, drawn, st.sampled_from(BLANKS), st.sampled_from(BLANKS))
    return drawn.filter(simple.is_valid)


# Elements


class Drawing:
    """Draws documents of one schema; strategies are made once for each simple type.

    Args:
        schema: compiled by `xmlschema`.
    """

    def __init__(self, schema) -> None:
        self._schema = schema
        self._values: dict[int, st.SearchStrategy[str]] = {}

    def documents(self, root: str) -> st.SearchStrategy[Document]:
        """Documents with that root, each valid.

        Args:
            root: local name of a global element.
        """
        return self.elements(self._schema.elements[root])

    def elements(self, declared: XsdElement) -> st.SearchStrategy[Document]:
        """Elements of one declaration of the schema, each valid; not whole documents, for most."""

        @st.composite
        def document(draw) -> Document:
            found: list = []
            return Document(self._element(draw, declared, found), found)

        return document()

    def _value(self, draw: Callable, simple) -> str:
        # By identity: the schema keeps its types as long as this object lives.
        if id(simple) not in self._values:
            self._values[id(simple)] = values(simple)
        return draw(self._values[id(simple)])

    def _element(self, draw: Callable, declared: XsdElement, found: list) -> etree._Element:
        for _ in range(20):
            mine: list = []
            element = etree.Element(declared.name, nsmap={"sr": self._schema.target_namespace})
            self._fill(draw, element, declared, mine)
            if not declared.identities or declared.is_valid(element):  # xs:unique: drawn again where a key repeats
                break
        found += mine
        return element

    def _fill(self, draw: Callable, element, declared: XsdElement, found: list) -> None:
        form = declared.type
        if form.is_complex():
            for name, attribute in form.attributes.items():
                if name is not None and (attribute.use == "required" or draw(st.booleans())):
                    element.set(name, self._value(draw, attribute.type))
                    found.append((element, name, attribute.type))
        if form.is_complex() and not form.has_simple_content():
            self._particles(draw, element, form.content, found)
        else:
            simple = form.content if form.is_complex() else form
            element.text = self._value(draw, simple)
            found.append((element, None, simple))

    def _particles(self, draw: Callable, parent, particle, found: list) -> None:
        most = particle.min_occurs + MOST_REPEATS
        repeats = draw(st.integers(particle.min_occurs, min(most, particle.max_occurs or most)))
        for _ in range(repeats if particle.max_occurs != 0 else 0):
            if isinstance(particle, XsdGroup):
                parts = list(particle)
                if particle.model == "choice" and parts:
                    parts = [draw(st.sampled_from(parts))]
                elif particle.model == "all":
                    parts = draw(st.permutations(parts))
                for part in parts:
                    self._particles(draw, parent, part, found)
            elif isinstance(particle, XsdAnyElement):
                etree.SubElement(parent, "{urn:other}any").text = draw(xml_text(max_size=5))
            else:
                parent.append(self._element(draw, particle, found))


# Faults


def _elsewhere(draw: Callable, element) -> None:
    root = element.getroottree().getroot()
    inside = set(element.iter())
    others = [other for other in root.iter() if other not in inside]
    parent = draw(st.sampled_from(others or [root]))
    if parent not in inside:
        parent.insert(draw(st.integers(0, len(parent))), element)


def _beyond(simple, value: str) -> list[str]:
    """Give texts that a simple type does not allow: one step beyond its facets, and not quite the value."""
    low, high, longest = (_facets(simple, name) for name in ("min_value", "max_value", "max_length"))
    texts = ["", "x", f"{value}x", f"x{value}", value[1:], value[:-1], value.swapcase(), f"{value}\u00a0", value * 2]
    if low is not None:
        texts.append(str(low - 1))
    if high is not None:
        texts.append(str(high + 1))
    if longest is not None and longest <= LONGEST:
        texts.append("x" * (longest + 1))
    return [text for text in texts if not simple.is_valid(text)]


def _wrong_value(draw: Callable, document: Document) -> None:
    """Put a value where its type does not allow it; any text is allowed to a few types."""
    element, name, simple = draw(st.sampled_from(document.values))
    value = (element.text or "") if name is None else element.get(name)
    wrong = draw(st.sampled_from(_beyond(simple, value) or [value]))
    if name is None:
        element.text = wrong
    else:
        element.set(name, wrong)


@st.composite
def with_one_fault(draw, documents: st.SearchStrategy[Document]) -> bytes:
    """Documents with one fault in them, if it is one: an element doubled may be allowed.

    Args:
        documents: strategy of those that are spoilt.
    """
    document = draw(documents)
    elements = list(document.root.iter())
    element = draw(st.sampled_from(elements[1:] or elements))
    kind = draw(st.sampled_from(["value", "value", "drop", "double", "move", "rename", "attribute", "text", "missing"]))
    parent = element.getparent()
    if kind == "value":
        _wrong_value(draw, document)
    elif kind == "drop":
        parent.remove(element)
    elif kind == "double":
        element.addnext(etree.fromstring(etree.tostring(element)))
    elif kind == "move":
        _elsewhere(draw, element)
    elif kind == "rename":
        element.tag = draw(st.sampled_from([other.tag for other in elements] + ["{urn:x}x", "x"]))
    elif kind == "attribute":
        element.set(draw(st.sampled_from(["other", "{urn:x}other", "Id", "schemaVersion"])), "5.4")
    elif kind == "text":
        element.tail = "x"
    else:
        document.root.attrib.clear()
    return document.octets
