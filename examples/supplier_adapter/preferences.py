"""Which hubs a Supplier would like to see in a pilot: a CSV file, the dearest first."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chfw_sr.messages import EUI, MAX_DEVICE_LIST, PilotPlanPublished, parse_eui

COLUMNS = ("device_id", "manufacturer", "model")


@dataclass(frozen=True, slots=True)
class Preference:
    """A hub that its Supplier would like to see in a pilot."""

    device_id: EUI
    manufacturer: str
    model: str


def read_preferences(path: Path) -> list[Preference]:
    """Read the file; it has a header with at least `device_id`, `manufacturer` and `model`.

    Raises:
        OSError: if it cannot be read.
        ValueError: naming the line that is wrong.
    """
    found = []
    with path.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines)
        if missing := set(COLUMNS) - set(rows.fieldnames or ()):
            raise ValueError(f"{path}: the header lacks {', '.join(sorted(missing))}")
        for row in rows:
            try:
                found.append(Preference(parse_eui(row["device_id"] or ""), row["manufacturer"], row["model"]))
            except ValueError as error:
                raise ValueError(f"{path}, line {rows.line_num}: {error}") from error
    return found


def choose(plan: PilotPlanPublished, preferences: Sequence[Preference]) -> tuple[EUI, ...]:
    """Choose the hubs of the right make, in the order of the file, as many as the default schedule holds.

    Returns:
        Nothing if no hub fits: the default list stands then.
    """
    limits = [window.max_devices for window in plan.default_schedule]
    room = MAX_DEVICE_LIST if None in limits else sum(limit or 0 for limit in limits)
    make = (plan.manufacturer, plan.model)
    fitting = dict.fromkeys(each.device_id for each in preferences if (each.manufacturer, each.model) == make)
    return tuple(fitting)[:room]
