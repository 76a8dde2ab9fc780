"""DUIS XML to the flat JSON of DUIS client tools, and back; lossless but for the signature.

The form is that which those tools call simplified:

    {"header": {"type": "request", "requestId": {"originatorId": "90-b3-…", "targetId": "90-b3-…", "counter": 7},
                "commandVariant": 8, "serviceReference": "11.5", "serviceReferenceVariant": "11.5"},
     "body": {"ReadPilotPlan": {"CampaignID": "CH-2027-01"}}}

- Elements stand under their names without prefix, in the order of the schema; one that is repeated is an array.
- EUIs are in lower case, wherever the schema has an EUI; in XML they are in upper case.
- Values are text, but for the counter and the Command Variant, which are integers, and FirstInSequence, a boolean.
- A schemaVersion other than ours is kept in the header.

What such tools write besides is understood: `{"#text": …}` for a value, an object for a Command Variant or a Service
Reference Variant, numbers and booleans for text.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from chfw_sr.messages import RequestID, ResponseID
from chfw_sr.wire import Schemas, parse
from chfw_sr.wire.namespaces import REQUEST, SCHEMA_VERSION, SIGNATURE, SR, Element
from chfw_sr.wire.render import text as render_text
from chfw_sr.wire.replies import REPLY_LIMITS

Json = None | bool | int | float | Decimal | str | list["Json"] | dict[str, "Json"]

DEEPEST: Final = 32
"""Levels of JSON in a body; the schema has fewer."""

_LOCAL: Final = len(f"{{{SR}}}")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_CARRIED: Final = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
_HOLDS_EUIS: Final = re.compile(r"DeviceID|ServiceRequestID|\w*List")

_HEADER: Final = {
    "RequestID": "requestId",
    "ResponseID": "responseId",
    "FirstInSequence": "firstInSequence",
    "PrecedingServiceRequestID": "precedingServiceRequestId",
    "CommandVariant": "commandVariant",
    "ServiceReference": "serviceReference",
    "ServiceReferenceVariant": "serviceReferenceVariant",
    "ResponseCode": "responseCode",
    "ResponseDateTime": "responseDateTime",
}
"""Elements of both headers, in the order of the schema, with their names in JSON."""

_IDENTIFIERS: Final = {"RequestID": RequestID, "ResponseID": ResponseID, "PrecedingServiceRequestID": RequestID}


class NotDuis(ValueError):  # noqa: N818 - it names what was found
    """JSON that is no document of DUIS; the text names the place."""


def to_json(octets: bytes) -> dict[str, Json]:
    """Convert a Service Request, a Service Response or an alert.

    Args:
        octets: the document, signed or not.

    Raises:
        Rejected: `E900` or `E901`, if the schema does not allow it.
    """
    root = Schemas.load().validate(parse(octets, REPLY_LIMITS)).parsed.root
    header: dict[str, Json] = {"type": "request" if root.tag == REQUEST else "response"}
    version = (root.get("schemaVersion") or "").strip()
    if version != SCHEMA_VERSION:
        header["schemaVersion"] = version
    for element in root[0]:
        name = _name(element)
        header[_HEADER[name]] = _header_value(name, element.text or "")
    assert root[-1].tag == SIGNATURE or len(root) == 2  # the schema has nothing else
    return {"header": header, "body": _content(root[1])}


def _header_value(name: str, value: str) -> Json:
    match name:
        case "RequestID" | "ResponseID" | "PrecedingServiceRequestID":
            found = _IDENTIFIERS[name].parse(value)
            return {
                "originatorId": found.originator.lower(),
                "targetId": found.target.lower(),
                "counter": found.counter,
            }
        case "CommandVariant":
            return int(value)
        case "FirstInSequence":
            return value.strip() in {"true", "1"}
        case _:
            return value.strip()


def _content(element: Element) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for child in element:
        name, value = _name(child), _value(child)
        if name not in found:
            found[name] = value
            continue
        others = found[name]
        found[name] = [*others, value] if isinstance(others, list) else [others, value]
    return found


def _value(element: Element) -> Json:
    if len(element):
        return _content(element)
    value = element.text or ""
    return value.lower() if _HOLDS_EUIS.fullmatch(_name(element)) else value


def _name(element: Element) -> str:
    return str(element.tag)[_LOCAL:]


def from_json(document: Json) -> bytes:
    """Convert the JSON of a Service Request, a Service Response or an alert.

    Args:
        document: as `json.loads` gives it; with `parse_float=Decimal`, no fraction is lost.

    Returns:
        The document in canonical form, unsigned.

    Raises:
        NotDuis: if it does not have the form.
        Rejected: `E901`, if the schema does not allow what it says.
    """
    top = _object(document, "the document")
    header = _object(top.get("header"), "header")
    kind = header.get("type", "request")
    if kind not in {"request", "response"}:
        raise NotDuis(f"header.type: {kind!r:.40} is neither request nor response")
    root = "sr:Request" if kind == "request" else "sr:Response"
    version = header.get("schemaVersion", SCHEMA_VERSION)
    body = "".join(_elements(_object(top.get("body"), "body"), "body", 0))
    octets = (
        f'<{root} xmlns:sr="{SR}" schemaVersion="{_text(version, "header.schemaVersion")}">'
        f"<sr:Header>{''.join(_headers(header))}</sr:Header><sr:Body>{body}</sr:Body></{root}>"
    ).encode()
    Schemas.load().validate(parse(octets, REPLY_LIMITS))
    return octets


def _headers(header: Mapping[str, Json]) -> Iterator[str]:
    known = {*_HEADER.values(), "type", "schemaVersion"}
    if unknown := [name for name in header if name not in known]:
        raise NotDuis(f"header.{unknown[0]:.40}: there is no such field; there are {', '.join(sorted(known))}")
    for name, key in _HEADER.items():
        if key in header:
            value, place = header[key], f"header.{key}"
            if name in _IDENTIFIERS:
                yield _element(name, _identifier(value, place))
            else:
                yield _element(name, _text(_simple(name, value), place))


def _identifier(value: Json, place: str) -> str:
    if isinstance(value, str):
        return _text(value.upper(), place)
    found = _object(value, place)
    parts = [_text(found.get(part, ""), f"{place}.{part}") for part in ("originatorId", "targetId", "counter")]
    return ":".join(parts).upper()


def _simple(name: str, value: Json) -> Json:
    """Give the value that stands for an object with a description of it."""
    if isinstance(value, dict):
        for key in {"CommandVariant": ("number",), "ServiceReferenceVariant": ("Service Reference Variant",)}.get(
            name, ()
        ):
            if key in value:
                return value[key]
    return value


def _elements(found: Mapping[str, Json], place: str, depth: int) -> Iterator[str]:
    if depth > DEEPEST:
        raise NotDuis(f"{place:.120}: more than {DEEPEST} levels")
    for name, value in found.items():
        here = f"{place}.{name:.40}"
        if not _NAME.fullmatch(name):
            raise NotDuis(f"{here}: not the name of an element")
        for number, each in enumerate(value if isinstance(value, list) else [value]):
            inside = f"{here}[{number}]" if isinstance(value, list) else here
            if isinstance(each, dict) and each.keys() != {"#text"}:
                yield _element(name, "".join(_elements(each, inside, depth + 1)))
                continue
            text = _text(each["#text"] if isinstance(each, dict) else each, inside)
            yield _element(name, text.upper() if _HOLDS_EUIS.fullmatch(name) else text)


def _element(name: str, content: str) -> str:
    return f"<sr:{name}>{content}</sr:{name}>"


def _text(value: Json, place: str) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            return f"{value:f}"
        case float():
            return f"{Decimal(repr(value)):f}"
        case str() if _CARRIED.fullmatch(value):
            return render_text(value).replace('"', "&quot;") if place == "header.schemaVersion" else render_text(value)
        case str():
            raise NotDuis(f"{place}: has a character that XML cannot carry")
        case _:
            raise NotDuis(f"{place}: a text or a number is expected")


def _object(value: Json, place: str) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise NotDuis(f"{place}: an object is expected")
    return value
