"""Reads an inventory of hubs in chunks, so that its size does not matter.

Each field has one check, and the answers for fields that repeat together are remembered. A row goes through all checks
at once; only one that fails is looked at field by field.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from operator import itemgetter

from chfw_sr.campaign.model import Hub
from chfw_sr.messages import EUI, HubStatus, Region, parse_eui

from .faults import Problem, numbered_rows, one_of, read_header

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


@dataclass(frozen=True, slots=True)
class InventoryChunk:
    """Some rows of an inventory.

    Attributes:
        hubs: those that are good, in order of lines.
        problems: what is wrong with the others.
        bad_rows: how many others there are.
    """

    hubs: list[Hub]
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


@lru_cache(maxsize=4096)
def _kind(
    manufacturer: str, model: str, version: str, region: str, status: str
) -> tuple[str, str, str, Region, HubStatus]:
    return (
        _device_name(manufacturer),
        _device_name(model),
        _firmware_version(version),
        _region(region),
        _status(status),
    )


@lru_cache(maxsize=16384)
def _pair(one: str, other: str) -> tuple[EUI | None, EUI | None]:
    return _responsible(one), _responsible(other)


_CHECKS: tuple[Callable[[str], object], ...] = (
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


def read_inventory(lines: Iterable[str], source: str, chunk_rows: int = 5000) -> Iterator[InventoryChunk]:
    """Read an inventory as it comes, in constant memory.

    Args:
        lines: the lines of a CSV file with a header, line ends kept. Columns are `HUB_FIELDS`, in any order.
        source: the file, as its owner named it.
        chunk_rows: rows in one chunk, at most.

    Raises:
        InvalidFile: if the header cannot be used; a bad row is a `Problem` of its chunk instead.

    Source: wire contract §2.
    """
    rows = numbered_rows(lines)
    header = read_header(rows, HUB_FIELDS, _REQUIRED, source)
    width = len(header)
    pick = itemgetter(*(header.index(name) if name in header else width for name in HUB_FIELDS))
    while some := list(islice(rows, chunk_rows)):
        chunk: list[Hub] = []
        problems: list[Problem] = []
        for line, row in some:
            if isinstance(row, csv.Error):
                problems.append(Problem(line, None, f"not CSV: {row}"))
            elif len(row) != width:
                problems.append(Problem(line, None, f"{len(row)} fields where the header has {width}"))
            else:
                row.append("")  # what a column that is missing holds
                values = pick(row)
                try:
                    chunk.append(_hub(values))
                except ValueError:
                    problems.extend(_faults(line, values))
        yield InventoryChunk(chunk, problems, len(some) - len(chunk))


def _hub(values: Sequence[str]) -> Hub:
    eui, manufacturer, model, version, region, status, electricity, gas, distributor, transporter = values
    return Hub(
        parse_eui(eui),
        *_kind(manufacturer, model, version, region, status),
        *_pair(electricity, gas),
        *_pair(distributor, transporter),
    )


def _faults(line: int, values: Sequence[str]) -> Iterator[Problem]:
    for name, check, text in zip(HUB_FIELDS, _CHECKS, values, strict=True):
        try:
            check(text)
        except ValueError as error:
            yield Problem(line, name, str(error))
