"""What a document's header says of it, read from a tree of which nothing is known yet."""

from typing import Final

from .namespaces import SR, Element

_HEADER: Final = f"{{{SR}}}Header"


def only_text(root: Element, name: str) -> str | None:
    """Give the text of the one such element in the header; None if there is none, another, or it holds elements.

    Args:
        root: a document's root.
        name: the element's local name, in the DUIS namespace.
    """
    tag = f"{{{SR}}}{name}"
    found = [element for header in root.iterchildren(_HEADER) for element in header.iterchildren(tag)]
    return found[0].text or "" if len(found) == 1 and not len(found[0]) else None
