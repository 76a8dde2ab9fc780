"""Reads an inventory of hubs in chunks, so that its size does not matter.

Each field has one check. A chunk is checked column by column: all EUIs of hubs at once, and of the other columns every
value that there is, once. Only a chunk that fails is looked at row by row, and only a row that fails field by field.
Lines without quotes are taken apart where the commas are, a chunk at once; from the first quote on the rows are those
of `csv`.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from operator import methodcaller

from chfw_sr.messages import EUI, HubStatus, Region, parse_device_list, parse_eui
from chfw_sr.service.ports import HubColumns

from .faults import NumberedRow, Problem, numbered_rows, one_of, read_header

HUB_FIELDS = (
    "eui",
    "manufacturer",
    "model",
    "firmware_version",
    "region",
    "status",
    "import_supplier",
    "gas_supplier",
    "electricity_distributor",
    "gas_transporter",
)
"""Columns of an inventory, in the order of `Hub`'s own fields; the last four may be missing or empty."""

_REQUIRED = 6

_ENDED = methodcaller("endswith", "\n")


@dataclass(frozen=True, slots=True)
class InventoryChunk:
    """Some rows of an inventory.

    Attributes:
        hubs: those that are good, in order of lines.
        problems: what is wrong with the others.
        bad_rows: how many others there are.
    """

    hubs: HubColumns
    problems: list[Problem]
    bad_rows: int


def _printable(text: str, longest: int) -> str:
    if not 1 <= len(text) <= longest or not text.isprintable():
        raise ValueError(f"not 1 to {longest} printable characters of UTF-8: {text[:40]!r}")
    return text


@lru_cache(maxsize=4096)
def _device_name(text: str) -> str:
    return _printable(text, 30)


@lru_cache(maxsize=4096)
def _firmware_version(text: str) -> str:
    return _printable(text, 8)


@lru_cache(maxsize=64)
def _region(text: str) -> Region:
    return one_of(Region, text)


@lru_cache(maxsize=64)
def _status(text: str) -> HubStatus:
    return one_of(HubStatus, text)


@lru_cache(maxsize=4096)
def _responsible(text: str) -> EUI | None:
    return parse_eui(text) if text else None


_CHECKS: tuple[Callable[[str], str | None], ...] = (
    parse_eui,
    _device_name,
    _device_name,
    _firmware_version,
    _region,
    _status,
    _responsible,
    _responsible,
    _responsible,
    _responsible,
)


def read_inventory(lines: Iterable[str], source: str, chunk_rows: int = 2000) -> Iterator[InventoryChunk]:
    """Read an inventory as it comes, in constant memory.

    Args:
        lines: the lines of a CSV file with a header, line ends kept. Columns are `HUB_FIELDS`, in any order.
        source: the file, as its owner named it.
        chunk_rows: rows in one chunk, at most.

    Raises:
        InvalidFile: if the header cannot be used; a bad row is a `Problem` of its chunk instead.

    Source: wire contract §2.
    """
    rest = _Lines(lines)
    header = read_header(numbered_rows(rest), HUB_FIELDS, _REQUIRED, source)
    width = len(header)
    order = [header.index(name) if name in header else width for name in HUB_FIELDS]
    for columns, rows in _chunks(rest, chunk_rows, width):
        yield (columns and _checked_at_once(columns, order)) or _checked_one_by_one(rows, width, order)


class _Lines(Iterator[str]):
    """Lines, of which the number is known that have been taken."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._rest = iter(lines)
        self.taken = 0

    def __next__(self) -> str:
        line = next(self._rest)
        self.taken += 1
        return line

    def take(self, most: int) -> list[str]:
        some = list(islice(self._rest, most))
        self.taken += len(some)
        return some


def _chunks(
    rest: _Lines, chunk_rows: int, width: int
) -> Iterator[tuple[Sequence[Sequence[str]] | None, Iterable[NumberedRow]]]:
    """Take as many lines at a time as a chunk has rows; give columns, if all rows have their width, and rows."""
    while some := rest.take(chunk_rows):
        first = rest.taken - len(some) + 1
        text = _simple(some)
        if text is None:
            rows = numbered_rows(chain(some, rest), first)
            while chunk := list(islice(rows, chunk_rows)):
                yield _turned(chunk, width), chunk
            return
        yield _split(text, len(some), width), _split_rows(text, first)


def _simple(lines: list[str]) -> str | None:
    """Give lines in one piece, if each is a row and commas are all there is to it; None if `csv` must look."""
    text = "".join(lines)
    if not text.endswith("\n"):
        text += "\n"
    if '"' in text or "\r" in text or text.count("\n") != len(lines) or not all(map(_ENDED, lines[:-1])):
        return None
    if text.startswith("\n") or "\n\n" in text or max(map(len, lines)) > csv.field_size_limit():
        return None
    return text


def _split(text: str, rows: int, width: int) -> Sequence[Sequence[str]] | None:
    """Take rows apart all at once, a line feed as a field of its own behind each; None if not all have their width."""
    fields = text.replace("\n", ",\n,").split(",")
    step = width + 1
    if len(fields) != rows * step + 1 or fields[width::step] != ["\n"] * rows:
        return None
    return [fields[place:-1:step] for place in range(width)]


def _split_rows(text: str, first: int) -> Iterator[NumberedRow]:
    return ((line, row.split(",")) for line, row in enumerate(text[:-1].split("\n"), first))


def _turned(rows: Sequence[NumberedRow], width: int) -> Sequence[Sequence[str]] | None:
    """Turn rows into columns; None if not all have their width."""
    fields = [row for _, row in rows if isinstance(row, list) and len(row) == width]
    return list(zip(*fields, strict=True)) if len(fields) == len(rows) else None


def _checked_at_once(columns: Sequence[Sequence[str]], order: Sequence[int]) -> InventoryChunk | None:
    """Check column by column; None if anything is wrong."""
    rows = len(columns[0])
    picked = [*columns, ("",) * rows]  # the last one is what a column that is missing holds
    try:
        euis: Sequence[str] = parse_device_list(",".join(picked[order[0]]))
        if len(euis) != rows:
            return None
        others = [_column(picked[place], check) for place, check in zip(order[1:], _CHECKS[1:], strict=True)]
    except ValueError:
        return None
    return InventoryChunk(HubColumns([euis, *others]), [], 0)


def _column(values: Sequence[str], check: Callable[[str], str | None]) -> Sequence[str | None]:
    """Check every value that there is, once."""
    forms = {value: check(value) for value in set(values)}
    return values if all(value == form for value, form in forms.items()) else [forms[value] for value in values]


def _checked_one_by_one(rows: Iterable[NumberedRow], width: int, order: Sequence[int]) -> InventoryChunk:
    good: list[list[str | None]] = []
    problems: list[Problem] = []
    taken = 0
    for taken, (line, row) in enumerate(rows, start=1):  # noqa: B007 - how many there were
        if isinstance(row, csv.Error):
            problems.append(Problem(line, None, f"not CSV: {row}"))
        elif len(row) != width:
            problems.append(Problem(line, None, f"{len(row)} fields where the header has {width}"))
        else:
            values = [*row, ""]
            picked = [values[place] for place in order]
            try:
                good.append([check(text) for check, text in zip(_CHECKS, picked, strict=True)])
            except ValueError:
                problems.extend(_faults(line, picked))
    columns = list(zip(*good, strict=True)) or [()] * len(HUB_FIELDS)
    return InventoryChunk(HubColumns(columns), problems, taken - len(good))


def _faults(line: int, values: Sequence[str]) -> Iterator[Problem]:
    for name, check, text in zip(HUB_FIELDS, _CHECKS, values, strict=True):
        try:
            check(text)
        except ValueError as error:
            yield Problem(line, name, str(error))
