"""The names of exchanges and queues (wire contract §7); both buses use these and no others."""

from chfw_sr.messages import EUI

REQUESTS = "chfw.requests"
"""Service Requests in."""

RESPONSES = "chfw.responses"
"""Service Responses out, by originator."""

ALERTS = "chfw.alerts"
"""DCC Alerts out, by recipient and code."""

QUARANTINE = "chfw.quarantine"
"""Input that could not be attributed, and requests that were returned too often."""

UNROUTED = "chfw.unrouted"
"""Alerts and responses for which no queue was declared: kept, so that nothing is lost."""


def alerts_queue(eui: EUI) -> str:
    """Name the queue that keeps a User's alerts."""
    return f"alerts.{eui}"


def responses_queue(eui: EUI) -> str:
    """Name the queue that keeps a User's Service Responses."""
    return f"responses.{eui}"


def is_reserved(queue: str) -> bool:
    """Say whether a name is the service's own to use: no `reply_to` may put anything there.

    Else whoever cannot sign as a User could still have answers, signed by the DCC, put among that User's responses.
    """
    return queue.startswith(("chfw.", "alerts.", "responses."))
