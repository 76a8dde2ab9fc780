"""A long document in pieces, so that its faults cost no more than its octets do.

A validator of lxml goes on after a fault, and writes down each with a path that it finds by counting siblings: ten
thousand wrong activations side by side would cost seconds, and one forged message could stand for a thousand honest
ones. So where a report has many activations, they are validated some at a time, in copies; the first faulty piece is
the last one that is looked at. No other element may have many children: there a validator stops at the first that is
too many.
"""

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

from lxml import etree

from chfw_sr.quick import quick

from .namespaces import SR, Element

PIECE: Final = 128
"""Activations that are validated together."""

REPORT: Final = f"{{{SR}}}Body/{{{SR}}}ReportFirmwareActivation"
"""Where the root has its report (11.30)."""

# What stands around the later pieces; only the report in it is the document's.
_FRAME: Final = (
    f'<Request xmlns="{SR}" schemaVersion="5.4"><Header>'
    "<RequestID>00-00-00-00-00-00-00-00:00-00-00-00-00-00-00-00:0</RequestID><CommandVariant>8</CommandVariant>"
    "<ServiceReference>11.30</ServiceReference><ServiceReferenceVariant>11.30</ServiceReferenceVariant>"
    "</Header><Body/></Request>"
)


@quick
@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a document, in a document of its own or the document itself.

    Attributes:
        root: the root element to validate.
        report: the report in it; None if the piece is the document itself.
        whole: the report in the document.
        first: which of the whole's children is the piece's first, from 0.
    """

    root: Element
    report: Element | None = None
    whole: Element | None = None
    first: int = 0

    def origin(self, found: Element) -> Element:
        """Give the element of the document that an element of the report in this piece is a copy of.

        Args:
            found: an element of this piece.

        Returns:
            The document's own element; `found` itself if it does not lie in the report.
        """
        steps: list[int] = []
        node: Element | None = found
        while node is not None and node is not self.report:
            parent = node.getparent()
            steps.append(0 if parent is None else parent.index(node))
            node = parent
        if node is None or self.whole is None:
            return found
        origin = self.whole
        for depth, step in enumerate(reversed(steps)):
            origin = origin[step if depth else step + self.first]
        return origin


def pieces(root: Element, report: Element | None) -> Iterator[Piece]:
    """Give a document in pieces that are all valid if and only if it is, but for how many activations it has.

    Args:
        root: the document's root; it is copied, not touched.
        report: what stands at `REPORT`; None if there is none.
    """
    if report is None or len(report) <= PIECE:
        yield Piece(root)
        return
    head = _cut(root, report)
    yield Piece(head, head.find(REPORT), report)
    children = list(report)
    frame = etree.fromstring(_FRAME)
    part = etree.SubElement(frame[1], report.tag, nsmap=cast("dict[str, str]", report.nsmap))
    for first in range(PIECE, len(children), PIECE):
        part.clear()
        part.extend(map(copy.deepcopy, children[first : first + PIECE]))
        yield Piece(frame, part, report, first)


def _cut(element: Element, report: Element) -> Element:
    """Copy an element of which the report is a part, with the report's first children only."""
    copied = _shallow(element)
    copied.text, copied.tail = element.text, element.tail
    for child in itertools.islice(element, PIECE) if element is report else element:
        around = child is report or child is report.getparent()
        copied.append(_cut(child, report) if around else copy.deepcopy(child))
    return copied


def _shallow(element: Element) -> Element:
    """Copy an element, but nothing that is in it."""
    attributes, namespaces = cast("dict[str, str]", element.attrib), cast("dict[str, str]", element.nsmap)
    return etree.Element(element.tag, attributes, namespaces)
