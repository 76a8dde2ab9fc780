"""A parsed document to a schema-valid one (wire contract §6, `E901`).

lxml validates: it is fast and leaves other threads running. What it refuses, `xmlschema` explains, in words that name
the place; only where a document has very many elements does lxml's own word stand, since an explanation would hold up
the process for seconds there. The two agree on every document in the tests.
"""

import functools
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import xmlschema
from lxml import etree
from xmlschema.validators import XMLSchemaChildrenValidationError, XMLSchemaValidationError, XsdFacet, XsdPatternFacets

from chfw_sr.messages import MAX_ACTIVATIONS, MAX_DEVICE_LIST, Rejected, ResponseCode, parse_eui
from chfw_sr.resources import resource_directory

from .namespaces import REQUEST, RESPONSE, Element, line_of, path_of, short_name
from .parse import Parsed
from .pieces import PIECE, REPORT, Piece, pieces

ENTRY = "ServiceUserGateway.xsd"
"""The schema to start from."""

_EXPLAINED_TAGS = 2_000  # `<` in a document that xmlschema explains: it takes some 60 µs each
_LONGEST_VALUE = 60  # characters of a refused value that a reason repeats
_LONGEST_REASON = 300  # characters
_LONGEST_CHOICE = 4  # expected elements that a reason names

_BRACED = re.compile(r"\{[^{}\s]*\}[\w.-]+")


@dataclass(frozen=True, slots=True)
class Valid:
    """A document that the schema allows.

    Attributes:
        parsed: the document.
    """

    parsed: Parsed


class Schemas:
    """The compiled schemas; may be used from any number of threads.

    Args:
        directory: the folder with `ServiceUserGateway.xsd`.

    Raises:
        lxml.etree.XMLSchemaParseError: if the folder's schemas are damaged.
    """

    def __init__(self, directory: Path) -> None:
        self._entry = directory / ENTRY
        self._validator = self._compile()
        self._explaining = threading.Lock()

    @classmethod
    @functools.cache
    def load(cls) -> Self:
        """Give the schemas that came with the package, compiled once a process."""
        return cls(resource_directory("schemas"))

    def validate(self, parsed: Parsed) -> Valid:
        """Check a document against the schema.

        Args:
            parsed: the document.

        Raises:
            Rejected: `E901`, with the path, the line and one sentence about the first fault.

        Source: wire contract §6.
        """
        root = parsed.root
        if root.tag not in {REQUEST, RESPONSE}:
            raise _invalid(root, f"the root is {short_name(str(root.tag))}, not sr:Request or sr:Response")
        # Each activation has a `<` at least: nearly every document has too few for a report that is long.
        report = root.find(REPORT) if parsed.octets.count(b"<") > PIECE else None
        if report is not None and len(report) > MAX_ACTIVATIONS:
            raise _invalid(report[MAX_ACTIVATIONS], f"a report has at most {MAX_ACTIVATIONS} activations")
        for piece in pieces(root, report):
            # The verdict is this call's own; the validator's error_log is shared between threads, and is left alone.
            if not self._validator.validate(piece.root):
                raise self._explain(parsed, piece)
        return Valid(parsed)

    def _compile(self) -> etree.XMLSchema:
        return etree.XMLSchema(etree.parse(self._entry, etree.XMLParser(no_network=True, resolve_entities=False)))

    @functools.cached_property
    def _explainer(self) -> xmlschema.XMLSchema10:
        return xmlschema.XMLSchema10(self._entry, allow="local", use_fallback=False)

    def _explain(self, parsed: Parsed, piece: Piece) -> Rejected:
        if parsed.octets.count(b"<") <= _EXPLAINED_TAGS:
            try:
                with self._explaining:
                    error = next(self._explainer.iter_errors(parsed.root), None)
            except Exception:  # noqa: BLE001 - the verdict stands; an explainer that fails on hostile values explains nothing
                error = None
            if error is not None:
                return _explained(parsed.root, error)
        return self._reported(piece)

    def _reported(self, piece: Piece) -> Rejected:
        """Give lxml's own word, from a validator of this call's own."""
        validator = self._compile()
        validator.validate(piece.root)
        error = cast("Any", validator.error_log)[0]
        path = path_of(piece.origin(_at(piece.root, error.path)))
        reason = _BRACED.sub(lambda match: short_name(match[0]), error.message[:_LONGEST_REASON])
        return Rejected(ResponseCode.E901, reason, path=path, line=error.line)


def _at(root: Element, path: str) -> Element:
    """Find the element that a path of lxml names, in the document's own prefixes."""
    found = root
    for step in path.split("/")[2:]:
        name, _, position = step.rstrip("]").partition("[")
        alike = [child for child in found if name in {"*", _written_name(child)}]
        found = alike[int(position or 1) - 1]
    return found


def _written_name(element: Element) -> str:
    name = etree.QName(element).localname
    return f"{element.prefix}:{name}" if element.prefix else name


def _invalid(element: Element, reason: str) -> Rejected:
    return Rejected(ResponseCode.E901, reason, path=path_of(element), line=line_of(element))


def _explained(root: Element, error: XMLSchemaValidationError) -> Rejected:
    """Say in one short sentence what `xmlschema` found, never repeating a long value."""
    element = error.elem if isinstance(error.elem, Element) else root
    name = short_name(str(element.tag))
    if isinstance(error, XMLSchemaChildrenValidationError):
        some = error.expected_tags[:_LONGEST_CHOICE]
        expected = " or ".join([*some, "another"] if len(some) < len(error.expected_tags) else some) or "nothing more"
        if error.index >= len(element):
            return _invalid(element, f"{name} is not complete: {expected} is missing")
        child = element[error.index]
        return _invalid(child, f"{short_name(str(child.tag))} is not expected here, but {expected}")
    reason = (error.reason or "not valid")[:_LONGEST_REASON]
    if len(element):
        again = name == "sr:Window" and reason.startswith("duplicated value")
        return _invalid(element, "its WindowID is in this schedule already" if again else reason)
    value = element.text or ""
    form = error.validator.parent if isinstance(error.validator, XsdFacet) else None
    if form is not None and form.local_name == "DeviceIDList":
        return _invalid(element, _first_wrong(value))
    if form is not None and isinstance(error.validator, XsdPatternFacets):
        reason = f"does not have the form of {form.local_name}"
    return _invalid(element, f"{_short(value)}: {reason}")


def _first_wrong(devices: str) -> str:
    """Say what is wrong with a DeviceIDList: which item, or how many."""
    for position, item in enumerate(devices.split(",", MAX_DEVICE_LIST)[:MAX_DEVICE_LIST], start=1):
        try:
            parse_eui(item)
        except ValueError:
            return f"item {position} of the list, {_short(item)}, is not an EUI"
    return f"the list has {devices.count(',') + 1} EUIs; at most {MAX_DEVICE_LIST} are accepted"


def _short(value: str) -> str:
    return repr(value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 1] + "…")
