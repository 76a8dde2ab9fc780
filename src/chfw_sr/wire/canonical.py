"""The octets that a signature is made over (wire contract §1)."""

import copy
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from lxml import etree

from chfw_sr.messages import Rejected, ResponseCode

from .namespaces import Element

COORDINATE_OCTETS: Final = 32
"""Octets of r, and of s, in a SignatureValue."""

ALGORITHM: Final = ec.ECDSA(hashes.SHA256())
"""What SignatureMethod names."""


def canonical(root: Element, *, exclusive: bool = False) -> bytes:
    """Give the canonical form (XML 1.0, without comments) of a whole document.

    Only ever of a whole one: lxml canonicalises a part, or a root that has a comment beside it, within a document that
    it makes up for the purpose, and there inclusive canonicalisation takes default namespaces for undeclared.

    Args:
        root: the document's root; no comments or processing instructions are in the document.
        exclusive: take exclusive canonicalisation.

    Raises:
        Rejected: `E902`, if there is none: a namespace is named by a relative URI.
    """
    try:
        return etree.tostring(root.getroottree(), method="c14n", exclusive=exclusive, with_comments=False)
    except etree.C14NError:
        raise Rejected(
            ResponseCode.E902, "the document has no canonical form: a namespace is named by a relative URI"
        ) from None


def signed_octets(signed_info: Element) -> bytes:
    """Give the exclusive canonical form of a SignedInfo: the octets that the key signs.

    Args:
        signed_info: the `ds:SignedInfo`; it is copied, not touched.

    Source: wire contract §1 (CanonicalizationMethod).
    """
    alone = copy.deepcopy(signed_info)
    alone.tail = None
    return canonical(alone, exclusive=True)


def content(root: Element, signature: Element | None) -> bytes:
    """Give the canonical form of a document without its Signature.

    Args:
        root: the document's root; no comments or processing instructions are in the document.
        signature: the last child of the root; None if there is no Signature.

    Raises:
        Rejected: `E902`, if there is no canonical form: a namespace is named by a relative URI.
    """
    return without(canonical(root), signature)


def without(octets: bytes, signature: Element | None) -> bytes:
    """Cut a Signature out of a document's canonical form.

    Args:
        octets: the canonical form.
        signature: the last child of the root; None if there is no Signature.
    """
    if signature is None:
        return octets
    name = (f"{signature.prefix}:Signature" if signature.prefix else "Signature").encode()
    # In canonical form a `<` begins a tag and nothing else, and no element follows the Signature or, of that name, lies
    # in it: so the last such start tag and the last such end tag are its own.
    start = max(octets.rfind(b"<%b>" % name), octets.rfind(b"<%b " % name))
    end_tag = b"</%b>" % name
    return octets[:start] + octets[octets.rindex(end_tag) + len(end_tag) :]
