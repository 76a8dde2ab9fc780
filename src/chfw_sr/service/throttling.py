"""Alerts of a flood: the first refusal by quota is told as ever, the others together, once an interval.

Every request has its own Service Response. Its outcome alert is either an N904 of its own, or counted in one: that
bears `ThrottledAlertSequenceId`, the number of the summary among those of this User, and `ThrottledAlertCount`, how
many refusals it stands for. What is withheld is written in the transaction of the refusal; so none is lost or told
twice, whichever process takes the next. The clock tells of what is left when a flood has ended.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from chfw_sr.messages import EUI, Alert, ResponseCode, ServiceRequestRejected, Throttled

from .ports import Throttle, UnitOfWork


async def withhold(work: UnitOfWork, refused: Sequence[Alert], now: datetime, interval: timedelta) -> list[Alert]:
    """Note refusals by quota; give the alerts that are due.

    Args:
        work: the unit of work in which the requests were refused; this is the last that locks anything there.
        refused: the N904 of each, in order.
        now: the present.
        interval: between alerts to one User.
    """
    if not refused:
        return []
    by_user: defaultdict[EUI, list[Alert]] = defaultdict(list)
    for alert in refused:
        by_user[alert.recipient].append(alert)
    known = await work.throttles(sorted(by_user))
    told: list[Alert] = []
    after: list[Throttle] = []
    for user, alerts in by_user.items():
        throttle, heard = _hear(known[user], alerts, now, interval)
        told += heard
        after.append(throttle)
    await work.save_throttles(after)
    return told


def _hear(
    throttle: Throttle, alerts: Sequence[Alert], now: datetime, interval: timedelta
) -> tuple[Throttle, list[Alert]]:
    """Add refusals of one User to what is withheld; the first after a silence is told at once."""
    last = alerts[-1].body
    assert isinstance(last, ServiceRequestRejected)
    if is_due(throttle, now, interval) and not throttle.withheld:
        rest = replace(throttle, due_at=now + interval, withheld=len(alerts) - 1, request_id=last.request_id)
        return rest, [alerts[0]]
    more = replace(throttle, withheld=throttle.withheld + len(alerts), request_id=last.request_id)
    return _summarise(more, now, interval)


async def conclude(work: UnitOfWork, users: Sequence[EUI], now: datetime, interval: timedelta) -> list[Alert]:
    """Give the summaries that are due; one that another process has told meanwhile is not told again."""
    known = await work.throttles(sorted(users))
    done = [_summarise(known[user], now, interval) for user in sorted(users)]
    await work.save_throttles([throttle for throttle, _ in done])
    return [alert for _, summary in done for alert in summary]


def is_due(throttle: Throttle, now: datetime, interval: timedelta) -> bool:
    """Tell whether a User may be told again; also if a clock has been set back since it was last."""
    return not now < throttle.due_at <= now + interval


def _summarise(throttle: Throttle, now: datetime, interval: timedelta) -> tuple[Throttle, list[Alert]]:
    if not throttle.withheld or throttle.request_id is None or not is_due(throttle, now, interval):
        return throttle, []
    sequence = throttle.sequence + 1
    body = ServiceRequestRejected(
        request_id=throttle.request_id,
        response_code=ResponseCode.E906,
        reason=f"{throttle.withheld} Service Requests were beyond the quota; this is the last of them."
        " Each has its own Service Response.",
    )
    throttled = Throttled(sequence_id=sequence, count=throttle.withheld)
    summary = Alert(recipient=throttle.user, body=body, throttled=throttled)
    return Throttle(throttle.user, now + interval, sequence), [summary]
