"""Why a document is not valid, in one short sentence and with its place; from `xmlschema`, which knows more than lxml.

Imported when the first document is refused.
"""

from pathlib import Path
from typing import TypeAlias

import xmlschema
from xmlschema.validators import XMLSchemaChildrenValidationError, XMLSchemaValidationError, XsdFacet, XsdPatternFacets

from chfw_sr.messages import MAX_DEVICE_LIST, parse_eui

from .namespaces import Element, short_name

Explanation: TypeAlias = tuple[Element, str]
"""The element that is at fault, and why."""

_LONGEST_VALUE = 60  # characters of a refused value that a reason repeats
_LONGEST_REASON = 300  # characters
_LONGEST_CHOICE = 4  # expected elements that a reason names


class Explainer:
    """Explains; one call at a time.

    Args:
        entry: the schema to start from.
    """

    def __init__(self, entry: Path) -> None:
        self._schema = xmlschema.XMLSchema10(entry, allow="local", use_fallback=False)

    def explain(self, root: Element) -> Explanation | None:
        """Give the first fault of a document; None if nothing is found, or if hostile values are too much for it.

        Args:
            root: of a document that lxml has refused: that verdict stands.
        """
        try:
            error = next(self._schema.iter_errors(root), None)
        except Exception:  # noqa: BLE001 - whatever it is, an explainer that fails explains nothing
            return None
        return None if error is None else _explained(root, error)


def _explained(root: Element, error: XMLSchemaValidationError) -> Explanation:
    """Say in one short sentence what `xmlschema` found, never repeating a long value."""
    element = error.elem if isinstance(error.elem, Element) else root
    name = short_name(str(element.tag))
    if isinstance(error, XMLSchemaChildrenValidationError):
        some = error.expected_tags[:_LONGEST_CHOICE]
        expected = " or ".join([*some, "another"] if len(some) < len(error.expected_tags) else some) or "nothing more"
        if error.index >= len(element):
            return element, f"{name} is not complete: {expected} is missing"
        child = element[error.index]
        return child, f"{short_name(str(child.tag))} is not expected here, but {expected}"
    reason = (error.reason or "not valid")[:_LONGEST_REASON]
    if len(element):
        again = name == "sr:Window" and reason.startswith("duplicated value")
        return element, "its WindowID is in this schedule already" if again else reason
    value = element.text or ""
    form = error.validator.parent if isinstance(error.validator, XsdFacet) else None
    if form is not None and form.local_name == "DeviceIDList":
        return element, _first_wrong(value)
    if form is not None and isinstance(error.validator, XsdPatternFacets):
        reason = f"does not have the form of {form.local_name}"
    return element, f"{_short(value)}: {reason}"


def _first_wrong(devices: str) -> str:
    """Say what is wrong with a DeviceIDList: which item, or how many."""
    for position, item in enumerate(devices.split(",", MAX_DEVICE_LIST)[:MAX_DEVICE_LIST], start=1):
        try:
            parse_eui(item)
        except ValueError:
            return f"item {position} of the list, {_short(item)}, is not an EUI"
    return f"the list has {devices.count(',') + 1} EUIs; at most {MAX_DEVICE_LIST} are accepted"


def _short(value: str) -> str:
    return repr(value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 1] + "…")
