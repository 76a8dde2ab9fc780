"""A copy of a signed request that looks different and says the same is the same request: it has no second effect.

None of these octets is a forgery: the canonical form of the content is what its owner signed. So they are accepted by
design, as repeats: the stored response again, no alert, nothing changed.
"""

import base64
import re

import pytest

from chfw_sr.messages import UpdatePilotPreferences
from chfw_sr.service.outcome import Ending
from chfw_sr.service.ports import MessageKind
from chfw_sr.wire.signature import P256_ORDER
from tests.service.world import ALPHA, CAMPAIGN, KEYS, OPERATOR, World, create, hub_eui, publish

SIGNER = KEYS.signers[ALPHA]
VALUE = re.compile(rb"(<ds:SignatureValue>)([^<]*)(</ds:SignatureValue>)")


def on_value(change):
    return lambda octets: VALUE.sub(lambda found: found[1] + change(found[2]) + found[3], octets)


def other_s(text: bytes) -> bytes:
    """(r, n - s) holds for whatever (r, s) holds."""
    value = base64.b64decode(text)
    s = P256_ORDER - int.from_bytes(value[32:], "big")
    return base64.b64encode(value[:32] + s.to_bytes(32, "big"))


def put(old: bytes, new: bytes):
    return lambda octets: octets.replace(old, new, 1)


COPIES = {
    "the same octets": bytes,
    "signed again": lambda octets: SIGNER.sign(octets, replace=True),
    "the other s": on_value(other_s),
    "blanks in the SignatureValue": on_value(lambda text: b"\r\n " + text[:20] + b"&#13;\n" + text[20:]),
    "a comment in the SignatureValue": on_value(lambda text: text[:20] + b"<!-- x -->" + text[20:]),
    "an Id on the Signature": put(b"<ds:Signature ", b'<ds:Signature Id="x" '),
    "the same Id twice": lambda octets: octets.replace(b"<ds:Signature ", b'<ds:Signature Id="x" ').replace(
        b"<ds:KeyInfo>", b'<ds:KeyInfo Id="x">'
    ),
    "a namespace on the KeyInfo": put(b"<ds:KeyInfo>", b'<ds:KeyInfo xmlns:x="urn:x">'),
    "the issuer's name in other words": put(b"<ds:X509IssuerName>CN=", b"<ds:X509IssuerName> oid.2.5.4.3 = "),
    "a comment in a value": put(b">CH-2027", b">CH<!-- x -->-2027"),
    "CDATA": put(b">CH-2027", b"><![CDATA[CH]]>-2027"),
    "references": put(b">CH-2027", b">&#67;&#x48;-2027"),
    "an XML declaration": lambda octets: b'<?xml version="1.0"?>\n<!-- x -->' + octets,
    "UTF-16": lambda octets: octets.decode().encode("utf-16"),
    "a byte order mark": lambda octets: b"\xef\xbb\xbf" + octets,
    "blanks in tags": put(b"<sr:Body>", b"<sr:Body\n >"),
    "a namespace declared again": put(b"<sr:Body>", b'<sr:Body xmlns:sr="http://www.dccinterface.co.uk/ServiceUserGateway">'),
}  # fmt: skip


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
async def test_a_copy_is_a_repeat_and_has_no_effect(change):
    world = await World().populate()
    await world.send(OPERATOR, create())
    await world.send(OPERATOR, publish([hub_eui(0)]))
    octets = world.octets(ALPHA, UpdatePilotPreferences(campaign_id=CAMPAIGN, preferred_list=(hub_eui(1),)))
    (outcome,) = await world.process(octets)
    assert (outcome.ending, outcome.code) == (Ending.DONE, "I99")
    first = [each for each in await world.published() if each.kind is MessageKind.RESPONSE][-1]
    copied = change(octets)
    (again,) = await world.process(copied)
    assert (again.ending, again.code, again.alerts) == (Ending.REPEATED, "I99", 0)
    (answer,) = await world.published()
    assert (answer.kind, answer.octets) == (MessageKind.RESPONSE, first.octets)


async def test_a_changed_copy_is_none():
    world = await World().populate()
    octets = world.octets(OPERATOR, create())
    outcomes = await world.process(octets, octets.replace(b"Acme", b"Acne"))
    assert [each.ending for each in outcomes] == [Ending.DONE, Ending.QUARANTINED]
