"""What a document's header says of it, read from a tree of which nothing is known yet."""

from collections.abc import Sequence
from typing import Final

from .namespaces import SR, Element

_HEADER: Final = f"{{{SR}}}Header"
_FEW: Final = 16  # elements of a header that are looked at one by one; a good one has at most 6


def only_texts(root: Element, *names: str) -> list[str | None]:
    """Give what `only_text` does for each of these names: of a header of the usual size, in one look at it.

    Args:
        root: a document's root.
        names: the elements' local names, in the DUIS namespace.
    """
    headers = list(root.iterchildren(_HEADER))
    if sum(map(len, headers)) > _FEW:
        return [only_text(root, name) for name in names]
    elements = [element for header in headers for element in header]
    tags = [element.tag for element in elements]
    return [_text(elements, tags, f"{{{SR}}}{name}") for name in names]


def _text(elements: Sequence[Element], tags: Sequence[str], tag: str) -> str | None:
    if tags.count(tag) != 1:
        return None
    element = elements[tags.index(tag)]
    return None if len(element) else element.text or ""


def only_text(root: Element, name: str) -> str | None:
    """Give the text of the one such element in the header; None if there is none, another, or it holds elements.

    Args:
        root: a document's root.
        name: the element's local name, in the DUIS namespace.
    """
    tag = f"{{{SR}}}{name}"
    found = [element for header in root.iterchildren(_HEADER) for element in header.iterchildren(tag)]
    return found[0].text or "" if len(found) == 1 and not len(found[0]) else None
