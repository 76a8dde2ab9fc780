"""Figures: what was measured several times, and how far it spread."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """Several measurements of one thing.

    Attributes:
        values: in the order in which they were measured.
        unit: what they are in.
    """

    values: tuple[float, ...]
    unit: str

    @property
    def median(self) -> float:
        """The one in the middle."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        if len(self.values) == 1:
            return f"{short(self.values[0])} {self.unit}"
        return f"{short(self.median)} {self.unit} ({short(min(self.values))} to {short(max(self.values))})"

    def as_json(self) -> dict[str, object]:
        """Give it for a file."""
        return {
            "unit": self.unit,
            "min": min(self.values),
            "median": self.median,
            "max": max(self.values),
            "values": list(self.values),
        }


def figure(values: Sequence[float], unit: str) -> Figure:
    """Make a figure of measurements."""
    return Figure(tuple(values), unit)


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the value below which so many percent lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * len(ordered)))]


def short(value: float) -> str:
    """Write a number with three digits that count, and whole from there on."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
