"""Octets to a parsed document, without trusting a single octet.

The bounds hold before anything is done whose cost they bound:

1. size, in octets;
2. characters: the octets are decoded strictly and handed on as UTF-8, so that what follows sees every document alike;
3. counts of `<` and `=` (they bound elements and attributes, hence memory), no NUL, no `<!DOCTYPE` anywhere: without a
   DTD there are no entities to expand, no defaults and nothing external to fetch;
4. parsing, without network, entities or the parser's options for huge documents;
5. depth, attributes of an element and namespaces in scope, since canonicalisation costs elements x (namespaces in
   scope)²; and no processing instructions, since they are signed but never read.

What bounds cost must not cost much itself: counting octets tells of nearly every document that the slower look at its
tree is not needed. A thread keeps one parser, since making one costs a fifth of a small document.

Comments are dropped while parsing, because canonicalisation without comments drops them too: a text that is read is the
text that was signed, whole.
"""

import functools
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from lxml import etree

from chfw_sr.messages import Rejected, ResponseCode
from chfw_sr.quick import quick

from .namespaces import Element

_DECLARED = re.compile(r"""<\?xml\s[^>]*?\sencoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)["']""")
_CODECS = {"utf-8": "utf-8", "us-ascii": "ascii", "iso-8859-1": "latin-1"}
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF16_NAMES = frozenset({"utf-16", "utf-16le", "utf-16be"})
_LONGEST_DECLARATION = 200  # characters
# A declaration of a namespace whose name holds a reference, or a text that looks like one. libxml2's canonical form
# leaves `&` as it is there: it would not say the same again.
_REFERRING = re.compile(rb"""xmlns(?::[^\s=:<>&]*+)?\s*+=\s*+(?:"[^"&]*+&|'[^'&]*+&)""")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a document may cost. The defaults hold every legal document of the wire contract several times over.

    Attributes:
        max_octets: its size, in octets as received.
        max_markup: how many `<`, and how many `=`, its text may have.
        max_depth: how deep its elements may nest.
        max_attributes: attributes of one element.
        max_namespaces: namespace declarations in scope of one element.

    Source: wire contract §6 (`E900`).
    """

    max_octets: int = 4 * 1024 * 1024
    max_markup: int = 200_000
    max_depth: int = 64
    max_attributes: int = 32
    max_namespaces: int = 16


@quick
@dataclass(frozen=True, slots=True)
class Parsed:
    """A well-formed document within its limits; nothing else is known of it.

    Attributes:
        root: the root element; nobody changes the tree.
        octets: the document as it was received.
    """

    root: Element
    octets: bytes


def parse(octets: bytes, limits: Limits) -> Parsed:
    """Parse a document within its limits.

    Args:
        octets: the document as received, in UTF-8 (or US-ASCII; ISO-8859-1 if it says so; UTF-16 with its
            byte order mark).
        limits: what it may cost.

    Raises:
        Rejected: `E900`, with the line where there is one.

    Source: wire contract §6.
    """
    if len(octets) > limits.max_octets:
        raise _refused(f"the document has {len(octets)} octets; at most {limits.max_octets} are accepted")
    text = _as_utf8(octets)
    tags, attributes = _count(text, limits)
    try:
        root = etree.fromstring(text, _thread.parser)
    except etree.XMLSyntaxError as error:
        raise _refused(f"not well-formed: {(error.msg or 'no document')[:200]}", line=error.lineno) from None
    _no_hidden_error(_thread.parser)
    _measure(root, text, tags, attributes, limits)
    return Parsed(root, octets)


class _Thread(threading.local):
    """What a thread keeps: a parser, which no two threads may use at a time."""

    def __init__(self) -> None:
        self.parser = etree.XMLParser(
            encoding="utf-8",
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
            collect_ids=False,
        )


_thread = _Thread()


def _no_hidden_error(parser: etree.XMLParser) -> None:
    """Refuse what the parser noted as an error and passed: a mere warning behind it would decide, and hide it."""
    for note in parser.error_log:
        if note.level > etree.ErrorLevels.WARNING:
            raise _refused(f"not well-formed: {note.message[:200]}", line=note.line)


def _refused(reason: str, *, line: int | None = None) -> Rejected:
    return Rejected(ResponseCode.E900, reason, line=line or None)


def _as_utf8(octets: bytes) -> bytes:
    if octets.startswith(_UTF16_MARKS):
        text = _decode(octets, "utf-16")
        if _declared(text) not in {None, *_UTF16_NAMES}:
            raise _refused("the document is in UTF-16, but declares another encoding", line=1)
        return text.encode()
    octets = octets.removeprefix(_UTF8_MARK)
    declared = _declared(octets[:_LONGEST_DECLARATION].decode("latin-1")) if octets.startswith(b"<?xml") else None
    codec = _CODECS.get(declared or "utf-8")
    if codec is None:
        raise _refused(f"the declared encoding {declared!r:.40} does not fit; write UTF-8", line=1)
    text = _decode(octets, codec)
    return octets if codec != "latin-1" else text.encode()


def _decode(octets: bytes, codec: str) -> str:
    try:
        return octets.decode(codec)
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise _refused(f"octet {error.start} does not fit the encoding {codec}", line=line) from None


def _declared(text: str) -> str | None:
    match = _DECLARED.match(text[:_LONGEST_DECLARATION])
    return match[1].lower() if match else None


def _count(text: bytes, limits: Limits) -> tuple[int, int]:
    """Refuse what counting can; give how many `<` and how many `=` there are."""
    # Looking for a single octet costs a tenth of looking for several, and few documents have these.
    if 0 in text:
        raise _refused("the document has a NUL", line=text.count(b"\n", 0, text.index(0)) + 1)
    doctype = text.find(b"<!DOCTYPE") if b"!" in text else -1
    if doctype >= 0:
        raise _refused("a DOCTYPE is not accepted", line=text.count(b"\n", 0, doctype) + 1)
    tags, attributes = text.count(b"<"), text.count(b"=")
    if max(tags, attributes) > limits.max_markup:
        raise _refused(f"the document has more than {limits.max_markup} tags or attributes")
    return tags, attributes


@functools.lru_cache(maxsize=8)
def _too_deep(max_depth: int) -> etree.XPath:
    return etree.XPath(f"boolean({'/*' * (max_depth + 1)})")


@functools.lru_cache(maxsize=8)
def _too_many_attributes(max_attributes: int) -> etree.XPath:
    return etree.XPath(f"boolean(//*[@*[{max_attributes + 1}]])")


_instructed = etree.XPath("boolean(//processing-instruction())")


def _declarations(root: Element) -> Iterator[tuple[str, str]]:
    for _, declared in etree.iterwalk(root, events=("start-ns",)):
        yield cast("tuple[str, str]", declared)


def _measure(root: Element, text: bytes, tags: int, attributes: int, limits: Limits) -> None:
    # An element that holds others has two tags.
    if tags > 2 * limits.max_depth and _too_deep(limits.max_depth)(root):
        raise _refused(f"the document has more than {limits.max_depth} levels of elements")
    if attributes > limits.max_attributes and _too_many_attributes(limits.max_attributes)(root):
        raise _refused(f"the document has an element with more than {limits.max_attributes} attributes")
    # The XML declaration looks like an instruction, and is none.
    if text.find(b"?", text.find(b"?>") + 2 if text.startswith(b"<?xml ") else 0) >= 0 and _instructed(root):
        raise _refused("the document has a processing instruction, which is not accepted")
    if b"&" in text and _REFERRING.search(text) and any("&" in uri for _, uri in _declarations(root)):
        raise _refused("the name of a namespace holds '&', for which there is no sure canonical form")
    # Counting declarations needs a slow walk: only a document that mentions them often enough is walked.
    if attributes > limits.max_namespaces and text.count(b"xmlns") > limits.max_namespaces:
        in_scope = 0
        for event, _ in etree.iterwalk(root, events=("start-ns", "end-ns")):
            in_scope += 1 if event == "start-ns" else -1
            if in_scope > limits.max_namespaces:
                raise _refused(f"the document has more than {limits.max_namespaces} namespaces in scope of an element")
