"""Fair intake: how many requests one User may send, and how much of what nobody can be held to is kept.

The queue of requests is one for all and first come, first served. So that one sender's flood does not take the time of
all others, a User beyond its quota is refused (`E906`) after its signature and before anything else is looked at: no
campaign is locked, no hub looked up. What cannot be attributed has one quota for all; beyond it nothing is kept.

Each process counts for itself, in memory: that costs nothing, needs no lock, and protects what a process has to give.
With n processes a User may send n times its quota; a process that starts anew knows of no past. What counts is what was
committed: a transaction that is tried again counts once.

The rule is the Generic Cell Rate Algorithm (ITU-T I.371): one instant is remembered for each sender, up to which its
share is used up.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chfw_sr.messages import EUI, Alert

_MINUTE = timedelta(minutes=1)
_STRANGERS = ""


@dataclass(frozen=True, slots=True)
class Fairness:
    """What is enforced; 0 a minute means no limit.

    Attributes:
        requests_per_minute: of one User, sustained; a process counts for itself.
        requests_at_once: of one User, in a burst after a silence.
        quarantined_per_minute: inputs that nobody can be held to, of all senders together.
        quarantined_at_once: of those, in a burst.
        alert_interval: how often a User that is refused by its quota is told so (N904).
    """

    requests_per_minute: int = 0
    requests_at_once: int = 1
    quarantined_per_minute: int = 0
    quarantined_at_once: int = 1
    alert_interval: timedelta = timedelta(minutes=1)


class Quota:
    """Counts what senders send.

    Args:
        per_minute: what each may send, sustained; 0 means no limit.
        at_once: what each may send after a silence, at least 1.
    """

    def __init__(self, per_minute: int, at_once: int) -> None:
        self._each = _MINUTE / per_minute if per_minute else timedelta()
        self._most = self._each * at_once
        self._used_up_to: dict[Hashable, datetime] = {}

    def open(self, now: datetime) -> "Tally":
        """Begin to count what one transaction takes, at one instant."""
        return Tally(self._used_up_to, self._each, self._most, now)


@dataclass(slots=True)
class Tally:
    """What one transaction takes; it counts once it is kept."""

    known: dict[Hashable, datetime]
    each: timedelta
    most: timedelta
    now: datetime
    taken: dict[Hashable, datetime] = field(default_factory=dict)

    def take(self, sender: Hashable) -> bool:
        """Take one more of a sender, if it is within its quota; tell whether it was."""
        if not self.each:
            return True
        used = self.taken.get(sender, self.known.get(sender, self.now))
        if not self.now < used <= self.now + self.most:  # long ago, or of a clock that has been set back since
            used = self.now
        if used + self.each > self.now + self.most:
            return False
        self.taken[sender] = used + self.each
        return True

    def keep(self) -> None:
        """Count what was taken: the transaction was committed."""
        self.known.update(self.taken)


class Turn:
    """One transaction's share of the quotas, and the refusals by quota that are to be told of.

    Attributes:
        refused: the N904 of each, in order.
    """

    def __init__(self, users: Tally, strangers: Tally) -> None:
        self._users = users
        self._strangers = strangers
        self.refused: list[Alert] = []

    def admits(self, user: EUI) -> bool:
        """Take one more request of a User, if it is within its quota."""
        return self._users.take(user)

    def keeps(self) -> bool:
        """Take one more input that nobody can be held to, if there is room."""
        return self._strangers.take(_STRANGERS)

    def keep(self) -> None:
        """Count what was taken: the transaction was committed."""
        self._users.keep()
        self._strangers.keep()


class Gate:
    """The quotas of a process."""

    def __init__(self, fairness: Fairness) -> None:
        self._users = Quota(fairness.requests_per_minute, fairness.requests_at_once)
        self._strangers = Quota(fairness.quarantined_per_minute, fairness.quarantined_at_once)

    def open(self, now: datetime) -> Turn:
        """Begin a transaction."""
        return Turn(self._users.open(now), self._strangers.open(now))
