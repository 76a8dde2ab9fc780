"""The chart of a phase: what was planned and what was reported, added up over time, as points of an SVG picture."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from math import ceil, floor, log10

from chfw_sr.campaign.model import Cell
from chfw_sr.messages import ActivationResult
from chfw_sr.service.ports import HourOfResults

WIDTH, HEIGHT = 760, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 36
"""Margins around the plot, in the picture's units."""

_HOUR = timedelta(hours=1)
_STEPS = tuple(timedelta(hours=number) for number in (1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 672, 1344, 2688))
_TICKS = 7
"""Marks on the axis of time, at most."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of `WIDTH` by `HEIGHT`.

    Attributes:
        planned: hubs whose window is over, evenly within each window; the points of a line.
        activated: successes so far; the points of a staircase.
        failed: failures so far.
        now: where the present is; None if it is outside.
        across: marks of time.
        up: marks of numbers.
    """

    planned: str
    activated: str
    failed: str
    now: float | None
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


def chart(cells: Sequence[Cell], hours: Sequence[HourOfResults], now: datetime) -> Chart | None:
    """Draw a phase.

    Args:
        cells: all of the phase.
        hours: the results of the phase.
        now: the present.

    Returns:
        None where there is nothing to draw.
    """
    if not cells:
        return None
    results = {kind: _staircase(hours, kind) for kind in ActivationResult}
    times = [*(each.starts_at for each in cells), *(each.ends_at for each in cells)]
    times += [at for steps in results.values() for at, _ in steps]
    first, last = min(times), max(times)
    most = max(sum(each.devices for each in cells), *(steps[-1][1] for steps in results.values() if steps), 1)
    scale = _Scale(first, max(last, first + _HOUR), most)
    end = min(max(now, first), scale.last)
    return Chart(
        planned=scale.line(_planned(cells)),
        activated=scale.steps(results[ActivationResult.SUCCESS], end),
        failed=scale.steps(results[ActivationResult.FAILURE], end),
        now=scale.x(now) if first <= now <= scale.last else None,
        across=tuple(scale.across()),
        up=tuple(scale.up()),
    )


def _staircase(hours: Iterable[HourOfResults], kind: ActivationResult) -> list[tuple[datetime, int]]:
    """Add results up; each hour counts when it is over."""
    own = sorted((each.hour + _HOUR, each.results) for each in hours if each.result is kind)
    return list(zip((at for at, _ in own), accumulate(number for _, number in own), strict=True))


def _planned(cells: Sequence[Cell]) -> list[tuple[datetime, float]]:
    """Add up what windows are to take, evenly within each."""
    times = sorted({at for each in cells for at in (each.starts_at, each.ends_at)})
    windows: dict[tuple[datetime, datetime], int] = {}
    for each in cells:
        key = (each.starts_at, each.ends_at)
        windows[key] = windows.get(key, 0) + each.devices
    return [
        (
            at,
            sum(
                devices * min(1.0, max(0.0, (at - start) / (end - start))) for (start, end), devices in windows.items()
            ),
        )
        for at in times
    ]


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where instants and numbers lie in the picture."""

    first: datetime
    last: datetime
    most: int

    def x(self, at: datetime) -> float:
        return round(LEFT + (at - self.first) / (self.last - self.first) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, number: float) -> float:
        return round(HEIGHT - BOTTOM - number / self.most * (HEIGHT - TOP - BOTTOM), 1)

    def line(self, points: Iterable[tuple[datetime, float]]) -> str:
        return " ".join(f"{self.x(at)},{self.y(number)}" for at, number in points)

    def steps(self, points: Sequence[tuple[datetime, int]], end: datetime) -> str:
        corners: list[tuple[datetime, float]] = []
        before = 0
        for at, number in points:
            corners += [(at, before), (at, number)]
            before = number
        return self.line([*corners, (max(end, corners[-1][0]), before)]) if corners else ""

    def across(self) -> Iterator[Tick]:
        span = self.last - self.first
        step = next((each for each in _STEPS if span / each <= _TICKS), _STEPS[-1])
        midnight = self.first.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        at = midnight + ceil((self.first - midnight) / step) * step
        while at <= self.last:
            yield Tick(self.x(at), f"{at:%d %b}" if step >= timedelta(days=1) else f"{at:%d %b %H:%M}")
            at += step

    def up(self) -> Iterator[Tick]:
        rough = self.most / 4
        power = 10 ** max(0, floor(log10(rough))) if rough >= 1 else 1
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        for number in range(0, self.most + 1, step):
            yield Tick(self.y(number), f"{number:,}")
