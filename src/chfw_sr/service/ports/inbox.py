"""The inbox and the quarantine: what came in, and what was put aside."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chfw_sr.messages import RequestID, ResponseCode
from chfw_sr.quick import quick


@quick
@dataclass(frozen=True, slots=True)
class Claim:
    """A verified request that claims its RequestID; `digest` (32 octets) names its signed content."""

    request_id: RequestID
    digest: bytes


class ClaimStatus(StrEnum):
    """What became of a claim."""

    NEW = "New"
    """Nobody used the RequestID before: it is this content's now."""
    REPEAT = "Repeat"
    """The same content was here before."""
    CONFLICT = "Conflict"
    """Other content claimed the RequestID before; this content is here for the first time."""


@quick
@dataclass(frozen=True, slots=True)
class Claimed:
    """The answer to a claim; of a repeat, `response` and `code` are the stored Service Response and its code."""

    status: ClaimStatus
    response: bytes | None = None
    code: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class InboxRecord:
    """What to remember of a request that was claimed in the same unit of work."""

    claim: Claim
    srv: str | None
    code: ResponseCode
    response: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Input that could not be attributed, bytes untouched; `id` is 0 until stored."""

    octets: bytes
    code: ResponseCode | str
    reason: str
    received_at: datetime
    reply_to: str | None = None
    correlation_id: str | None = None
    source: str | None = None
    id: int = 0
    replayed_at: datetime | None = None
