"""What is remembered of a User that is refused by its quota."""

from dataclasses import dataclass
from datetime import UTC, datetime

from chfw_sr.messages import EUI, RequestID

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Throttle:
    """A User's alerts that are withheld.

    Attributes:
        due_at: from when on it may be told again.
        sequence: how many summaries it was sent.
        withheld: refusals of which it has not been told.
        request_id: the last of them.
    """

    user: EUI
    due_at: datetime = LONG_AGO
    sequence: int = 0
    withheld: int = 0
    request_id: RequestID | None = None
