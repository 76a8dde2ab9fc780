"""How a campaign goes, for people."""

from collections import Counter
from datetime import datetime

from chfw_sr.messages import ActivationResult, CampaignID, Phase
from chfw_sr.service.ports import ActivationRow, FailuresByReason, HourOfResults, Progress, SilentHub

from .facts import campaign_rows
from .state import State


def campaign_progress(state: State, campaign_id: CampaignID, now: datetime, limit: int) -> Progress:
    """Answer `Queries.progress`."""
    results = [row for row in state.activations.values() if row.campaign_id == campaign_id and row.effective]
    return Progress(
        hours=_hours(results),
        failures=tuple(each for phase in Phase for each in _failures(results, phase)[:limit]),
        silent=tuple(each for phase in Phase for each in _silent(state, campaign_id, phase, now)[:limit]),
    )


def _hours(results: list[ActivationRow]) -> tuple[HourOfResults, ...]:
    numbers = Counter(
        (row.phase, row.at.replace(minute=0, second=0, microsecond=0), row.result) for row in results if row.phase
    )
    return tuple(HourOfResults(*key, number) for key, number in sorted(numbers.items()))


def _failures(results: list[ActivationRow], phase: Phase) -> list[FailuresByReason]:
    failed = [row for row in results if row.phase is phase and row.result is ActivationResult.FAILURE]
    numbers = Counter(row.failure_reason for row in failed)
    found = [FailuresByReason(phase, reason, number) for reason, number in numbers.items()]
    return sorted(found, key=lambda each: (-each.failures, each.reason is not None, each.reason or ""))


def _silent(state: State, campaign_id: CampaignID, phase: Phase, now: datetime) -> list[SilentHub]:
    found = []
    for hub, row in campaign_rows(state, campaign_id, phase):
        cell = state.cells[row.cell] if row.cell else None
        if cell is not None and row.outcome is None and cell.starts_at <= now:
            found.append(SilentHub(hub, phase, cell.supplier, cell.region, cell.starts_at, cell.ends_at))
    return sorted(found, key=lambda each: (each.ends_at, each.eui))
