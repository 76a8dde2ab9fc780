"""Whether the process is alive and whether it is ready, as its loops and its probe have it.

The loops and the probe write, on the event loop; the HTTP server reads, on threads of its own. What is written is
replaced in one step, so that nobody needs a lock.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chfw_sr.service.observer import Loop

EVENT_LOOP = "event loop"

MISSED_PROBES = 4
"""Probes that may be missed before what the last one found is out of date."""

PATIENCE_SECONDS = 5.0
"""How long a probe may wait for an answer."""


@dataclass(frozen=True, slots=True)
class Report:
    """An answer; `checks` says how each thing is, `ok` where it is as it should be."""

    ok: bool
    checks: Mapping[str, str]


OK = "ok"


class Health:
    """What is known of the process.

    Args:
        stuck_seconds: after which a loop that does not come round counts as stuck.
        probe_seconds: how often readiness is probed.
        monotonic: seconds that never go back.
    """

    def __init__(
        self, *, stuck_seconds: float, probe_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._stuck_seconds = stuck_seconds
        self._fresh_seconds = MISSED_PROBES * probe_seconds + PATIENCE_SECONDS
        self._monotonic = monotonic
        self._busy: dict[Loop, float | None] = {}
        self._probed_at = monotonic()
        self._found: Mapping[str, str] | None = None
        self._draining = False

    def came_round(self, loop: Loop) -> None:
        """Note that a loop is at work since now."""
        self._busy[loop] = self._monotonic()

    def waits(self, loop: Loop) -> None:
        """Note that a loop waits for work; that may take as long as it likes."""
        self._busy[loop] = None

    def probed(self, found: Mapping[str, str]) -> None:
        """Note what a probe found: `ok`, or what is wrong, by check."""
        self._found = dict(found)
        self._probed_at = self._monotonic()

    def drains(self) -> None:
        """Note that the process is about to end: it is not ready any more."""
        self._draining = True

    def live(self) -> Report:
        """Tell whether every loop comes round, and the event loop with them."""
        now = self._monotonic()
        checks = {EVENT_LOOP: self._since(now, self._probed_at)}
        checks |= {str(loop): self._since(now, since) for loop, since in list(self._busy.items())}
        return Report(all(each == OK for each in checks.values()), checks)

    def ready(self) -> Report:
        """Tell whether work can be done now."""
        if self._draining:
            return Report(ok=False, checks={"service": "is about to end"})
        if self._found is None:
            return Report(ok=False, checks={"service": "is starting"})
        if self._monotonic() - self._probed_at > self._fresh_seconds:
            return Report(ok=False, checks={"probe": "has not come round for too long"})
        return Report(all(each == OK for each in self._found.values()), self._found)

    def _since(self, now: float, since: float | None) -> str:
        if since is None or now - since <= self._stuck_seconds:
            return OK
        return f"stuck for {now - since:.0f} s"
