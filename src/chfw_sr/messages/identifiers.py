"""Identifiers of the wire contract, §1: EUIs, RequestIDs, ResponseIDs and CampaignIDs.

An EUI is kept as the text that we store, compare and write: eight upper-case hex pairs joined by `-`. It stays a plain
`str` (a `NewType`), because lists of 50,000 of them are read, sorted and stored as they are.
"""

import functools
import re
from typing import Annotated, NewType, Self, cast

from pydantic import AfterValidator, Field

from .base import Message, unchecked

EUI_LENGTH = 23
"""Characters of a written EUI."""

MAX_DEVICE_LIST = 50_000
"""EUIs that one DeviceIDList may hold (DUIS 11.1)."""

MAX_COUNTER = 2**64 - 1
"""The largest counter of a RequestID: an unsigned 64-bit number (DUIS)."""

_EUI = re.compile(r"[0-9A-F]{2}(?:-[0-9A-F]{2}){7}", re.ASCII)
_COUNTER = re.compile(r"0|[1-9][0-9]{0,19}", re.ASCII)
_CAMPAIGN_ID = re.compile(r"[A-Za-z0-9._-]{1,36}", re.ASCII)

_ZEROS = bytes.maketrans(b"123456789ABCDEF", b"0" * 15)
_ZERO_EUI = b"00-00-00-00-00-00-00-00,"
"""What each EUI of a list looks like with its hex digits made zeros: a list is held against so many of them at once."""

EUI = NewType("EUI", str)
"""An EUI-64 as we store it, for instance `90-B3-D5-1F-30-01-00-00`."""

CampaignID = NewType("CampaignID", str)
"""1 to 36 characters of `A-Z a-z 0-9 . _ -` (wire contract §3)."""


def parse_eui(text: str) -> EUI:
    """Read an EUI in either case.

    Args:
        text: eight hex pairs joined by `-`.

    Raises:
        ValueError: if it is anything else.

    Source: wire contract §1 (DUIS `sr:EUI`).
    """
    upper = text.upper()
    if not _EUI.fullmatch(upper) or len(text) != EUI_LENGTH:
        raise ValueError(f"not an EUI (eight hex pairs joined by '-'): {text[:40]!r}")
    return EUI(upper)


_known_eui = functools.lru_cache(maxsize=4096)(parse_eui)
"""For the few that name themselves in every message; what is no EUI is not kept."""


def parse_device_list(text: str) -> tuple[EUI, ...]:
    """Read a DeviceIDList: one string of EUIs joined by `,`, no blanks.

    Args:
        text: at least one EUI, at most `MAX_DEVICE_LIST`.

    Raises:
        ValueError: if it is anything else.

    Source: wire contract §1 (DUIS 11.1 `DeviceIDList`).
    """
    upper = text.upper()
    zeros = _ZERO_EUI * max(1, (len(text) + 1) // len(_ZERO_EUI))
    if not text.isascii() or upper.encode().translate(_ZEROS) != zeros[:-1]:
        raise ValueError("not a DeviceIDList (EUIs joined by ',' without blanks)")
    euis = upper.split(",")
    if len(euis) > MAX_DEVICE_LIST:
        raise ValueError(f"a DeviceIDList holds at most {MAX_DEVICE_LIST} EUIs, not {len(euis)}")
    return cast("tuple[EUI, ...]", tuple(euis))


def parse_campaign_id(text: str) -> CampaignID:
    """Read a CampaignID.

    Raises:
        ValueError: if it is not 1-36 characters of `A-Z a-z 0-9 . _ -`.

    Source: wire contract §3.
    """
    if not _CAMPAIGN_ID.fullmatch(text):
        raise ValueError(f"not a CampaignID (1-36 of A-Z a-z 0-9 . _ -): {text[:40]!r}")
    return CampaignID(text)


def _stored_eui(text: EUI) -> EUI:
    if not _EUI.fullmatch(text):
        raise ValueError(f"not an EUI in upper case: {text[:40]!r}")
    return text


DeviceID = Annotated[EUI, AfterValidator(_stored_eui)]
"""An EUI field of a message, checked on construction."""

DeviceIDList = Annotated[tuple[EUI, ...], Field(min_length=1, max_length=MAX_DEVICE_LIST)]
"""A list field of a message; its items come from `parse_device_list` or from our own tables."""

CampaignIDField = Annotated[CampaignID, AfterValidator(parse_campaign_id)]


class _Triple(Message):
    """`originator:target:counter`, the form of both RequestID and ResponseID."""

    originator: DeviceID
    target: DeviceID
    counter: Annotated[int, Field(ge=0, le=MAX_COUNTER)]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `EUI:EUI:counter`; white space around it collapses (xs:token).

        Raises:
            ValueError: naming the part that is wrong.

        Source: wire contract §1 (DUIS `RequestID`, `ResponseID`).
        """
        parts = text.strip(" \t\r\n").split(":", 3)
        if len(parts) != 3:
            raise ValueError(f"not of the form EUI:EUI:counter: {text[:80]!r}")
        counter = int(parts[2]) if _COUNTER.fullmatch(parts[2]) else MAX_COUNTER + 1
        if counter > MAX_COUNTER:
            raise ValueError(f"the counter is not an unsigned 64-bit decimal: {parts[2][:40]!r}")
        return unchecked(cls)(originator=_known_eui(parts[0]), target=_known_eui(parts[1]), counter=counter)

    def __str__(self) -> str:
        return f"{self.originator}:{self.target}:{self.counter}"

    def __hash__(self) -> int:
        return hash((self.originator, self.target, self.counter))


class ResponseID(_Triple):
    """Names a Service Response or a DCC Alert."""


class RequestID(_Triple):
    """Names a Service Request; used once by its originator."""

    def response_id(self) -> ResponseID:
        """Give the ResponseID of this request's Service Response: originator and target swapped, the counter kept."""
        return unchecked(ResponseID)(originator=self.target, target=self.originator, counter=self.counter)
