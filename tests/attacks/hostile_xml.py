"""Hostile XML, each at a size at which it would hurt: the documents, and how far they may come.

Shared by the tests, the confined process and `benchmarks/hostile.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from chfw_sr.messages import SRV
from chfw_sr.wire import Limits
from tests.attacks.forge import document
from tests.wire.makers import signed

LARGEST = Limits().max_octets
GOOD = signed(document(SRV.UPDATE_PILOT_PREFERENCES))
HEAD, TAIL = GOOD.split(b"<sr:Body>")
XSI = b'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


class Stage(IntEnum):
    """Before what a document is refused at the latest."""

    PARSE = 1
    SCHEMA = 2
    END = 3


@dataclass(frozen=True)
class Attack:
    """A hostile document: what it is called, made when it is needed, its code and its stage."""

    name: str
    make: Callable[[], bytes]
    code: str
    before: Stage


def filled(head: bytes, unit: bytes, tail: bytes, size: int = LARGEST) -> bytes:
    """Repeat something until a document has its size."""
    return head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail


def body(unit: bytes, count: int | None = None, start: bytes = b"") -> Callable[[], bytes]:
    """Fill the body of a signed request; up to the size limit if no count is given."""

    def make() -> bytes:
        head = HEAD + b"<sr:Body>" + start
        return filled(head, unit, TAIL) if count is None else head + unit * count + TAIL

    return make


def doctype(inside: bytes, text: bytes = b"") -> Callable[[], bytes]:
    """Put a DOCTYPE before a signed request, and a text into it."""
    return lambda: b"<!DOCTYPE x " + inside + b">" + GOOD.replace(b">C1<", b">" + text + b"<")


def numbered(unit: str, count: int) -> Callable[[], bytes]:
    """Fill the body with things that are all different."""
    return lambda: HEAD + b"<sr:Body>" + "".join(unit.format(number) for number in range(count)).encode() + TAIL


_LAUGHS = b"[<!ENTITY l0 'ha'>" + b"".join(
    b"<!ENTITY l%d '%b'>" % (level, b"&l%d;" % (level - 1) * 10) for level in range(1, 10)
) + b"]"  # fmt: skip
_ATTRIBUTES = b" ".join(b'x%d=""' % number for number in range(32))
_NAMESPACES = b" ".join(b'xmlns:n%d="urn:%d"' % (number, number) for number in range(14))
_PARTS = "".join(f"<a{level}>" for level in range(63)) + "".join(f"</a{level}>" for level in reversed(range(63)))

P, S, E = Stage.PARSE, Stage.SCHEMA, Stage.END
ATTACKS = [
    Attack("over the size limit by an octet", lambda: GOOD + b" " * (LARGEST + 1 - len(GOOD)), "E900", P),
    Attack("over the size limit ten times", lambda: GOOD + b" " * (LARGEST * 10), "E900", P),
    Attack("entity bomb", doctype(_LAUGHS, b"&l9;"), "E900", P),
    Attack("entity bomb, quadratic", doctype(b"[<!ENTITY e '" + b"x" * 100_000 + b"'>]", b"&e;" * 30_000), "E900", P),
    Attack("parameter entity bomb", doctype(b"[<!ENTITY % a 'x'><!ENTITY % b '%a;%a;%a;'> %b;]"), "E900", P),
    Attack("attribute defaults", doctype(b"[<!ATTLIST sr:Request schemaVersion CDATA '5.4'>]"), "E900", P),
    Attack("ten thousand attribute defaults", doctype(b"[" + b"<!ATTLIST a b CDATA ''>" * 10_000 + b"]"), "E900", P),
    Attack("external entity: a file", doctype(b"[<!ENTITY e SYSTEM 'file://BAIT'>]", b"&e;"), "E900", P),
    Attack("external entity: a host", doctype(b"[<!ENTITY e SYSTEM 'http://127.0.0.1:PORT/e'>]", b"&e;"), "E900", P),
    Attack("external parameter entity", doctype(b"[<!ENTITY % e SYSTEM 'file://BAIT'> %e;]"), "E900", P),
    Attack("external DTD", doctype(b"SYSTEM 'file://BAIT'"), "E900", P),
    Attack("external DTD of a host", doctype(b"PUBLIC '-//x' 'http://127.0.0.1:PORT/x.dtd'"), "E900", P),
    Attack("DOCTYPE in UTF-16", lambda: doctype(_LAUGHS, b"&l9;")().decode().encode("utf-16"), "E900", P),
    Attack("DOCTYPE at the far end", lambda: filled(HEAD, b" ", b"<!DOCTYPE"), "E900", P),
    Attack("an entity that is declared nowhere", lambda: GOOD.replace(b">C1<", b">&e;<"), "E900", S),
    Attack("XInclude of a file", body(b'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file://BAIT"/>', 1), "E901", E),
    Attack("XInclude of a host", body(b'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="http://127.0.0.1:PORT/"/>', 1), "E901", E),
    Attack("schemaLocation: a file", lambda: GOOD.replace(b"<sr:Request ", b"<sr:Request " + XSI + b' xsi:schemaLocation="http://www.dccinterface.co.uk/ServiceUserGateway file://BAIT" '), "E902", E),
    Attack("schemaLocation: a host", lambda: GOOD.replace(b"<sr:Request ", b"<sr:Request " + XSI + b' xsi:schemaLocation="urn:x http://127.0.0.1:PORT/x.xsd" '), "E902", E),
    Attack("schemaLocation beside a fault", body(b"<x " + XSI + b' xmlns="urn:x" xsi:schemaLocation="urn:x file://BAIT" xsi:noNamespaceSchemaLocation="http://127.0.0.1:PORT/"/>', 1), "E901", E),
    Attack("a stylesheet", lambda: b"<?xml-stylesheet href='file://BAIT' type='text/xsl'?>" + GOOD, "E900", S),
    Attack("a catalogue", lambda: b"<?oasis-xml-catalog catalog='file://BAIT'?>" + GOOD, "E900", S),
    Attack("xml:base of a host", lambda: GOOD.replace(b"<sr:Body>", b'<sr:Body xml:base="http://127.0.0.1:PORT/">'), "E901", E),
    Attack("a Reference to a file", lambda: GOOD.replace(b'URI=""', b'URI="file://BAIT"'), "E902", E),
    Attack("a Reference to a host", lambda: GOOD.replace(b'URI=""', b'URI="http://127.0.0.1:PORT/"'), "E902", E),
    Attack("65 levels", lambda: HEAD + b"<a>" * 65 + b"</a>" * 65 + TAIL, "E900", S),
    Attack("90,000 levels", lambda: HEAD + b"<a>" * 90_000 + b"</a>" * 90_000 + TAIL, "E900", S),
    Attack("levels that are never closed", lambda: filled(b"", b"<a>", b""), "E900", P),
    Attack("190,000 elements", body(b"<a/>", 190_000), "E901", E),
    Attack("more elements than are parsed", body(b"<a/>"), "E900", P),
    Attack("190,000 names", numbered("<a{0}/>", 190_000), "E901", E),
    Attack("33 attributes", body(b"<a " + _ATTRIBUTES + b' y=""/>', 1), "E900", S),
    Attack("attributes without end", lambda: b"<a " + b" ".join(b'x%d=""' % number for number in range(190_000)) + b"/>", "E900", S),
    Attack("32 attributes on each of 6,000 elements", body(b"<a " + _ATTRIBUTES + b"/>", 6_000), "E901", E),
    Attack("14 namespaces on each of 13,000 elements", body(b"<a " + _NAMESPACES + b"/>", 13_000), "E901", E),
    Attack("90,000 namespaces, one after the other", numbered('<a xmlns="urn:{0}"/>', 90_000), "E901", E),
    Attack("17 namespaces in scope", body(b"<a " + _NAMESPACES + b' xmlns:y="urn:y" xmlns:z="urn:z" xmlns:w="urn:w"/>', 1), "E900", S),
    Attack("63 levels again and again", lambda: filled(HEAD, _PARTS.encode(), TAIL, 1_200_000), "E900", S),
    Attack("a name of 4 MiB", lambda: filled(b"<", b"a", b"/>"), "E900", S),
    Attack("an attribute of 4 MiB", lambda: GOOD.replace(b'"5.4"', b'"5.' + b"4" * (LARGEST - len(GOOD)) + b'"'), "E901", E),
    Attack("a RequestID of 4 MiB", lambda: GOOD.replace(b":17<", b":17" + b"7" * (LARGEST - len(GOOD)) + b"<"), "E901", E),
    Attack("a CampaignID of 4 MiB", lambda: GOOD.replace(b">C1<", b">C" + b"1" * (LARGEST - len(GOOD)) + b"<"), "E901", E),
    Attack("a SignatureValue of 4 MiB", lambda: GOOD.replace(b"<ds:SignatureValue>", b"<ds:SignatureValue>" + b"A" * (LARGEST - len(GOOD))), "E902", E),
    Attack("a serial number of 4 MiB", lambda: GOOD.replace(b"<ds:X509SerialNumber>", b"<ds:X509SerialNumber>" + b"1" * (LARGEST - len(GOOD))), "E901", E),
    Attack("blanks of 4 MiB", body(b"\n"), "E902", E),
    Attack("references of 4 MiB", body(b"&lt;"), "E901", E),
    Attack("carriage returns of 4 MiB", body(b"&#13;"), "E902", E),
    Attack("CDATA without end", body(b"<![CDATA["), "E900", P),
    Attack("a comment without end", body(b"x", start=b"<!--"), "E900", S),
    Attack("an instruction of 4 MiB", lambda: filled(b"<a><?x ", b"y", b"?></a>"), "E900", S),
    Attack("UTF-16 without a mark", lambda: GOOD.decode().encode("utf-16-le"), "E900", P),
    Attack("UTF-16 with the mark of the other order", lambda: b"\xfe\xff" + GOOD.decode().encode("utf-16-le"), "E900", S),
    Attack("UTF-16 cut in a character", lambda: GOOD.decode().encode("utf-16")[:-1], "E900", P),
    Attack("UTF-16 with half a pair", lambda: b"\xff\xfe<\0a\0>\0\x00\xd8<\0/\0a\0>\0", "E900", P),
    Attack("UTF-32", lambda: GOOD.decode().encode("utf-32"), "E900", P),
    Attack("UTF-7", lambda: b'<?xml version="1.0" encoding="UTF-7"?>' + GOOD, "E900", P),
    Attack("EBCDIC", lambda: b'<?xml version="1.0" encoding="cp037"?>'.decode().encode("cp037"), "E900", P),
    Attack("declared UTF-16, is UTF-8", lambda: b'<?xml version="1.0" encoding="UTF-16"?>' + GOOD, "E900", P),
    Attack("declared Latin-1 in UTF-16", lambda: ('<?xml version="1.0" encoding="ISO-8859-1"?>' + GOOD.decode()).encode("utf-16"), "E900", P),
    Attack("declared ASCII, is not", lambda: b'<?xml version="1.0" encoding="US-ASCII"?>' + GOOD.replace(b">C1<", ">é<".encode()), "E900", P),
    Attack("an encoding that nobody has", lambda: b'<?xml version="1.0" encoding="x"?>' + GOOD, "E900", P),
    Attack("a NUL", lambda: GOOD.replace(b">C1<", b">C\0<"), "E900", P),
    Attack("a NUL by reference", lambda: GOOD.replace(b">C1<", b">C&#0;<"), "E900", S),
    Attack("overlong UTF-8 of <", lambda: GOOD.replace(b">C1<", b">C\xc0\xbc<"), "E900", P),
    Attack("overlong UTF-8 of NUL", lambda: GOOD.replace(b">C1<", b">C\xc0\x80<"), "E900", P),
    Attack("surrogates in UTF-8", lambda: GOOD.replace(b">C1<", b">C\xed\xa0\x80\xed\xb0\x80<"), "E900", P),
    Attack("beyond Unicode", lambda: GOOD.replace(b">C1<", b">C\xf4\x90\x80\x80<"), "E900", P),
]  # fmt: skip
HARMLESS = [
    Attack("190,000 comments, which are no part of the content", body(b"<!---->", 190_000), "", E),
    Attack("two byte order marks, which the parser passes", lambda: b"\xef\xbb\xbf\xef\xbb\xbf" + GOOD, "", E),
]
"""Accepted by design: the same request as the document that they are made of."""


def aimed(octets: bytes, *, bait: str = "/nowhere", port: int = 1) -> bytes:
    """Let a document point to a file and a port of this machine."""
    return octets.replace(b"BAIT", bait.encode()).replace(b"PORT", str(port).encode())
