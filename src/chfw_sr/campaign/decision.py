"""What a decision is, and the settings it is made under."""

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from chfw_sr.messages import Alert, Payload, ResponseCode, Role
from chfw_sr.quick import quick

from .changes import Change


@quick
@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one accepted request or of one step of the clock.

    Attributes:
        code: what to answer; None for a step of the clock, which nobody asked for.
        payload: what the Service Response carries, if anything.
        changes: what to carry out, in order.
        alerts: what to send, in order.
    """

    code: ResponseCode | None = None
    payload: Payload | None = None
    changes: tuple[Change, ...] = ()
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings that decisions depend on.

    Attributes:
        alert_roles: which responsible Users of a hub hear of its activations (N64, N908).
        status_at: time of day of the daily status report (N909).
        zone: the time zone of `status_at`, summer time included.
        clock_tolerance: how far in the future an activation may be dated.
        threshold_minimum: results below which the failure threshold does not apply (wire contract §3).
    """

    alert_roles: frozenset[Role] = frozenset({Role.IS, Role.GS})
    status_at: time = time(7)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/London"))
    clock_tolerance: timedelta = timedelta(minutes=5)
    threshold_minimum: int = 20

    def next_status(self, after: datetime) -> datetime:
        """Give the first daily status time that lies after `after`, in the time zone of `after`."""
        local = after.astimezone(self.zone)
        candidate = datetime.combine(local.date(), self.status_at, self.zone)
        if candidate.astimezone(after.tzinfo) <= after:
            candidate = datetime.combine(local.date() + timedelta(days=1), self.status_at, self.zone)
        return candidate.astimezone(after.tzinfo)
