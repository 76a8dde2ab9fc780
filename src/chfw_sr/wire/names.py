"""Names of certificate issuers, compared as names rather than as text.

Clients write one and the same name in many ways: with or without blanks after commas, keywords in either case or as
numbers, with other escapes. So a text is parsed to what it says, and two names are equal if each of their parts is,
letter case and runs of blanks aside.
"""

import functools
import re

from cryptography import x509

Name = tuple[frozenset[tuple[str, str]], ...]
"""Relative distinguished names in the order of the text, the reverse of the certificate's: (OID, value), normalised."""

MAX_NAME = 1000
"""Characters of the longest issuer name that is looked at; so the cache of names stays small."""

_KEYWORDS = {
    "CN": "2.5.4.3",
    "SN": "2.5.4.4",
    "SERIALNUMBER": "2.5.4.5",
    "C": "2.5.4.6",
    "L": "2.5.4.7",
    "ST": "2.5.4.8",
    "S": "2.5.4.8",
    "STREET": "2.5.4.9",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "T": "2.5.4.12",
    "GIVENNAME": "2.5.4.42",
    "GN": "2.5.4.42",
    "X500UNIQUEIDENTIFIER": "2.5.4.45",
    "DNQUALIFIER": "2.5.4.46",
    "UID": "0.9.2342.19200300.100.1.1",
    "DC": "0.9.2342.19200300.100.1.25",
    "EMAILADDRESS": "1.2.840.113549.1.9.1",
    "E": "1.2.840.113549.1.9.1",
}
_WRITTEN = {_KEYWORDS[keyword]: keyword for keyword in ("CN", "C", "L", "ST", "STREET", "O", "OU", "UID", "DC")}

# Nothing that was matched is given back: a name that is none costs one look at each of its characters.
_PART = re.compile(
    r"""\s*+(?:[Oo][Ii][Dd]\.)?(?P<type>[A-Za-z][A-Za-z0-9-]*+|[0-9]++(?:\.[0-9]++)++)\s*+=\s*+
    (?:\#(?P<hex>(?:[0-9A-Fa-f]{2})++)\s*+
     |"(?P<quoted>(?:[^"\\]|\\.)*+)"\s*+
     |(?P<plain>(?!\#)(?:[^\\,;+"]|\\.)*+))
    (?P<end>[,;+]|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = re.compile(r"(?:\\[0-9A-Fa-f]{2})+|\\.", re.DOTALL)
_ENCODINGS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1E: "utf-16-be"}
_MUST_ESCAPE = re.compile(r'[,+"\\<>;=]|^[# ]| $')


@functools.lru_cache(maxsize=1024)
def parse_name(text: str) -> Name:
    """Read a name as RFC 2253 writes it; the blanks, quotes and `;` of older writers are understood too.

    Args:
        text: for instance `CN=Z1, OU=07`; at most `MAX_NAME` characters.

    Raises:
        ValueError: if it is not a name.

    Source: wire contract §1 (`X509IssuerName`).
    """
    if len(text) > MAX_NAME:
        raise ValueError(f"a name of more than {MAX_NAME} characters")
    names: list[frozenset[tuple[str, str]]] = []
    parts: set[tuple[str, str]] = set()
    position = 0
    while True:
        match = _PART.match(text, position)
        if match is None:
            raise ValueError(f"not a distinguished name as RFC 2253 writes it: {text[:80]!r}")
        parts.add((_oid(match["type"]), _value(match)))
        if match["end"] != "+":
            names.append(frozenset(parts))
            parts = set()
        if not match["end"]:
            return tuple(names)
        position = match.end()


def name_of(name: x509.Name) -> Name:
    """Give a certificate's name in the form in which names are compared."""
    return tuple(
        frozenset(
            (part.oid.dotted_string, _plain(part.value) if isinstance(part.value, str) else _octets(part.value))
            for part in parts
        )
        for parts in reversed(name.rdns)
    )


def write_name(name: x509.Name) -> str:
    """Write a certificate's name as RFC 2253 does, for instance `CN=Z1,OU=07`.

    Args:
        name: at least one part.
    """
    return ",".join("+".join(_written(part) for part in parts) for parts in reversed(name.rdns))


def _oid(keyword: str) -> str:
    if keyword[0].isdigit():
        return keyword
    oid = _KEYWORDS.get(keyword.upper())
    if oid is None:
        raise ValueError(f"unknown keyword in a distinguished name: {keyword[:40]!r}")
    return oid


def _value(match: re.Match[str]) -> str:
    if match["hex"] is not None:
        return _decoded(bytes.fromhex(match["hex"]))
    raw = match["plain"] if match["quoted"] is None else match["quoted"]
    return _plain(_ESCAPES.sub(_unescaped, raw))


def _unescaped(match: re.Match[str]) -> str:
    escape = match[0]
    return escape[1:] if len(escape) == 2 else bytes.fromhex(escape.replace("\\", "")).decode()


def _decoded(der: bytes) -> str:
    """Read a BER value of a short definite length: text as text, anything else as its octets."""
    if len(der) < 2 or der[1] != len(der) - 2:
        raise ValueError("a '#' value in a distinguished name is not a BER value")
    encoding = _ENCODINGS.get(der[0])
    return _plain(der[2:].decode(encoding)) if encoding else _octets(der[2:])


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _octets(octets: bytes) -> str:
    return f"#{octets.hex()}"


def _written(part: x509.NameAttribute[str | bytes]) -> str:
    keyword = _WRITTEN.get(part.oid.dotted_string)
    if isinstance(part.value, bytes):
        return f"{keyword or part.oid.dotted_string}=#03{len(part.value):02x}{part.value.hex()}"
    if keyword is None:
        encoded = part.value.encode()
        return f"{part.oid.dotted_string}=#0c{len(encoded):02x}{encoded.hex()}"
    return f"{keyword}={_MUST_ESCAPE.sub(lambda match: chr(92) + match[0], part.value)}"
