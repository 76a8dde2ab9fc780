"""Signature wrapping: the eight classic forms, rebuilt on every kind of request.

A captured document (the counters, campaign and hubs that its owner signed) is hidden where its signature still holds,
and another content stands where a reader would look. Each form comes twice: with the Reference that DUIS has, to the
whole document, and with one by Id, as if the victim's adapter had signed so: there the signature does hold for a
general verifier, which a test shows, and only the strict shape of ours is in the way.
"""

import copy
import hashlib

import pytest
from lxml import etree
from signxml import SignatureConfiguration, XMLVerifier

from chfw_sr.messages import SRV, Rejected
from chfw_sr.wire import Limits, Unattributed, parse, pki, verify
from tests.attacks.forge import EXCLUSIVE, document, ds, end_of, enveloped, reference, signature, sr
from tests.wire.makers import ALICE, NOW, TRUST, signed, take


def captured(srv: SRV) -> etree._Element:
    """A document that its owner signed as DUIS has it."""
    return etree.fromstring(signed(document(srv)))


def captured_by_id(srv: SRV) -> etree._Element:
    """A document whose owner signed the Body, by its Id, in exclusive canonical form."""
    octets = document(srv).replace(b"<sr:Body>", b'<sr:Body Id="signed">')
    body = etree.fromstring(etree.tostring(etree.fromstring(octets)[1]))
    digest = hashlib.sha256(etree.tostring(body, method="c14n", exclusive=True)).digest()
    by_id = reference(digest, uri=' URI="#signed"', transforms=f'<ds:Transform Algorithm="{EXCLUSIVE}"/>')
    return etree.fromstring(enveloped(octets, signature(by_id)))


def evil(srv: SRV) -> etree._Element:
    """What the attacker wants to be read: the same User's request about something else."""
    return etree.fromstring(document(srv, "EVIL").replace(b":17<", b":18<"))


def split(root: etree._Element) -> tuple[etree._Element, etree._Element]:
    """Take the Signature out; give the document without it, and it."""
    mark = root[-1]
    root.remove(mark)
    return root, mark


def xsw1(genuine, wanted):
    """The Signature envelops the genuine document; the wanted one is the root."""
    original, mark = split(genuine)
    wanted.append(mark)
    mark.append(original)
    return wanted


def xsw2(genuine, wanted):
    """The Signature is detached: the genuine document stands before it, in the wanted one."""
    original, mark = split(genuine)
    wanted.extend([original, mark])
    return wanted


def xsw3(genuine, wanted):
    """The wanted Body stands before the genuine one."""
    genuine[0].addnext(wanted[1])
    return genuine


def xsw4(genuine, wanted):
    """The wanted Body holds the genuine one."""
    original = genuine[1]
    genuine[0].addnext(wanted[1])
    genuine[1].append(original)
    return genuine


def xsw5(genuine, wanted):
    """The wanted Body holds the Signature; the genuine Body is the last child."""
    original, mark = genuine[1], genuine[-1]
    genuine[0].addnext(wanted[1])
    genuine[1].append(mark)
    genuine.append(original)
    return genuine


def xsw6(genuine, wanted):
    """The wanted Body holds the Signature, and that the genuine Body."""
    original, mark = genuine[1], genuine[-1]
    genuine[0].addnext(wanted[1])
    genuine[1].append(mark)
    mark.append(original)
    return genuine


def xsw7(genuine, wanted):
    """An extension, where a lax schema looks away, holds the wanted Body."""
    extensions = etree.Element(sr("Extensions"))
    genuine[0].addnext(extensions)
    extensions.append(wanted[1])
    return genuine


def xsw8(genuine, wanted):
    """An Object of the Signature holds the genuine Body; the wanted one is in its place."""
    original, mark = genuine[1], genuine[-1]
    genuine.insert(1, wanted[1])
    etree.SubElement(mark, ds("Object")).append(original)
    return genuine


WRAPPINGS = [xsw1, xsw2, xsw3, xsw4, xsw5, xsw6, xsw7, xsw8]


def name(value: object) -> str | None:
    return getattr(value, "__name__", None)


@pytest.mark.parametrize("srv", list(SRV))
@pytest.mark.parametrize("capture", [captured, captured_by_id], ids=["whole", "by-id"])
@pytest.mark.parametrize("wrap", WRAPPINGS, ids=name)
def test_a_wrapped_document_is_refused_twice_over(wrap, capture, srv):
    octets = etree.tostring(wrap(capture(srv), evil(srv)))
    found = take(octets)
    assert isinstance(found, Unattributed)
    assert found.rejection.code == "E901"  # the schema has no place for it
    with pytest.raises(Rejected) as refused:  # and without the schema it would not pass either
        verify(parse(octets, Limits()), TRUST, NOW)
    assert refused.value.code == "E902"


@pytest.mark.parametrize("wrap", WRAPPINGS, ids=name)
def test_a_general_verifier_is_content_with_what_was_wrapped_by_id(wrap):
    # Else the tests above would show nothing: the signatures in them are good ones.
    octets = etree.tostring(wrap(captured_by_id(SRV.UPDATE_PILOT_PREFERENCES), evil(SRV.UPDATE_PILOT_PREFERENCES)))
    found = XMLVerifier().verify(
        octets,
        x509_cert=pki.certificate_pem(ALICE.certificate).decode(),
        validate_schema=False,
        expect_config=SignatureConfiguration(location=".//", verification_time=NOW),
    )
    assert b"EVIL" not in found.signed_data


@pytest.mark.parametrize("srv", list(SRV))
def test_the_genuine_documents_pass_unless_they_are_signed_by_id(srv):
    assert end_of(etree.tostring(captured(srv))).code is None
    assert end_of(etree.tostring(captured_by_id(srv))).code == "E901"


@pytest.mark.parametrize("srv", list(SRV))
def test_what_moves_without_its_signature_or_the_signature_without_it_is_refused(srv):
    original, mark = split(captured(srv))
    assert end_of(etree.tostring(original)).code == "E902"
    wanted = evil(srv)
    wanted.append(copy.deepcopy(mark))
    end = end_of(etree.tostring(wanted))
    assert (end.attributed, end.code) == (False, "E902")
    assert "changed after it was signed" in end.reason
