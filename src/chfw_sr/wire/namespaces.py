"""Namespaces and algorithm identifiers of a DUIS document (wire contract §1)."""

from typing import Final, cast

from lxml import etree

SR: Final = "http://www.dccinterface.co.uk/ServiceUserGateway"
"""The DUIS namespace; the extension's elements live in it too."""

DS: Final = "http://www.w3.org/2000/09/xmldsig#"
"""The namespace of XML Signature."""

PREFIXES: Final = {"sr": SR, "ds": DS}
"""The prefixes that we write, and that paths in reasons use."""

REQUEST: Final = f"{{{SR}}}Request"
RESPONSE: Final = f"{{{SR}}}Response"
SIGNATURE: Final = f"{{{DS}}}Signature"

EXCLUSIVE_C14N: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
ECDSA_SHA256: Final = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
SHA256: Final = "http://www.w3.org/2001/04/xmlenc#sha256"

SCHEMA_VERSION: Final = "5.4"
"""The schemaVersion that we write."""

Element = etree._Element  # noqa: SLF001 - the only name that lxml has for the type
"""An element of a parsed document."""

XML_BLANKS: Final = " \t\r\n"
"""What XML calls white space."""

_SHORT: Final = {f"{{{uri}}}": f"{prefix}:" for prefix, uri in PREFIXES.items()}


def short_name(tag: str) -> str:
    """Write an element's or attribute's name for people.

    Args:
        tag: `{namespace}local` or `local`, as lxml has it.

    Returns:
        `sr:local`, `ds:local`, the local name if it has no namespace, or the name as it was, cut to 120 characters.
    """
    for namespace, prefix in _SHORT.items():
        if tag.startswith(namespace):
            return (prefix + tag[len(namespace) :])[:120]
    return tag[:120]


def path_of(element: Element) -> str:
    """Give the XPath of an element, for instance `/sr:Request/sr:Body/sr:ReportFirmwareActivation/sr:Activation[3]`.

    Args:
        element: any element; a position is written where a sibling has the same name.
    """
    steps: list[str] = []
    node: Element | None = element
    while node is not None:
        tag = node.tag
        before = sum(1 for _ in node.itersiblings(tag, preceding=True))
        alone = not before and next(node.itersiblings(tag), None) is None
        steps.append(short_name(str(tag)) + ("" if alone else f"[{before + 1}]"))
        node = node.getparent()
    return "/" + "/".join(reversed(steps))


def line_of(element: Element) -> int | None:
    """Give an element's line in its document, from 1; None if lxml does not know it."""
    return cast("int | None", element.sourceline)
