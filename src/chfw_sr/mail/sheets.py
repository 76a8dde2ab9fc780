"""Lists that are too long to read in a mail: CSV files that any spreadsheet opens."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from chfw_sr.messages import EUI, Window

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A CSV file to attach."""

    name: str
    octets: bytes


def sheet(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Sheet:
    """Write a CSV file.

    A text that a spreadsheet would take for a formula is led by an apostrophe: reasons come from outside.

    Args:
        name: of the file.
        header: names of the columns.
        rows: of values; None is an empty field.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return Sheet(name, file.getvalue().encode())


def hub_sheet(name: str, hubs: Iterable[EUI]) -> Sheet:
    """Write a list of hubs, in list order."""
    return sheet(name, ("position", "hub"), enumerate(hubs, 1))


def window_sheet(name: str, windows: Iterable[Window], zone: ZoneInfo) -> Sheet:
    """Write windows, in UTC and in local time."""
    header = ("window", "start_utc", "end_utc", "start_local", "end_local", "max_hubs")
    return sheet(
        name,
        header,
        (
            (
                each.window_id,
                _utc(each.start),
                _utc(each.end),
                each.start.astimezone(zone).isoformat(),
                each.end.astimezone(zone).isoformat(),
                each.max_devices,
            )
            for each in windows
        ),
    )


def _utc(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
