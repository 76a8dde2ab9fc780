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
from typing import TYPE_CHECKING, Any, Self, cast

from lxml import etree

from chfw_sr.messages import MAX_ACTIVATIONS, Rejected, ResponseCode
from chfw_sr.quick import quick
from chfw_sr.resources import resource_directory

from .namespaces import REQUEST, RESPONSE, Element, line_of, path_of, short_name
from .parse import Parsed
from .pieces import PIECE, REPORT, Piece, pieces

if TYPE_CHECKING:
    from .explanation import Explainer

ENTRY = "ServiceUserGateway.xsd"
"""The schema to start from."""

_EXPLAINED_TAGS = 2_000  # `<` in a document that xmlschema explains: it takes some 60 µs each
_LONGEST_REASON = 300  # characters

_BRACED = re.compile(r"\{[^{}\s]*\}[\w.-]+")


@quick
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
    def _explainer(self) -> "Explainer":
        from .explanation import Explainer  # noqa: PLC0415 - it takes long to import, and honest senders never need it

        return Explainer(self._entry)

    def _explain(self, parsed: Parsed, piece: Piece) -> Rejected:
        if parsed.octets.count(b"<") <= _EXPLAINED_TAGS:
            with self._explaining:
                found = self._explainer.explain(parsed.root)
            if found is not None:
                return _invalid(*found)
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
