"""What is wrong with a file, by line and field; and what every CSV file has in common."""

import csv
import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place of a file.

    Attributes:
        line: from 1; None where no line can be named.
        field: column or key; None where the line or the file as a whole is meant.
        reason: what is wrong there.
    """

    line: int | None
    field: str | None
    reason: str

    def __str__(self) -> str:
        place = [f"line {self.line}"] if self.line else []
        place += [f"field {self.field}"] if self.field else []
        return ": ".join([", ".join(place), self.reason] if place else [self.reason])


class InvalidFile(Exception):  # noqa: N818 - it names what was found
    """The file cannot be used.

    Args:
        source: the file, as its owner named it.
        problems: at least one, in order of lines.
    """

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))
        self.source = source
        self.problems = tuple(problems)


def one_of(kind: type[Choice], text: str) -> Choice:
    """Read a value of a closed set.

    Raises:
        ValueError: listing the values that there are.
    """
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is none of {', '.join(kind)}") from None


def nearest(name: str, known: Iterable[str]) -> str:
    """Give the end of a message about an unknown name: the known one that is nearest to it, if any is near."""
    matches = difflib.get_close_matches(name, tuple(known), n=1)
    return f"; did you mean {matches[0]}?" if matches else ""


def read_header(rows: Iterator["NumberedRow"], known: Sequence[str], required: int, source: str) -> list[str]:
    """Take the header off the rows of a CSV file.

    Args:
        rows: from `numbered_rows`.
        known: every column there may be.
        required: how many of them, from the first, must be there.
        source: the file, as its owner named it.

    Raises:
        InvalidFile: naming every column that is unknown, missing or there twice.
    """
    line, header = next(rows, (None, None))
    if header is None:
        raise InvalidFile(source, [Problem(None, None, f"empty; the first line names the columns {', '.join(known)}")])
    if isinstance(header, csv.Error):
        raise InvalidFile(source, [Problem(line, None, f"not CSV: {header}")])
    faults = [
        f"unknown column {name[:40]!r}{nearest(name, known)}" for name in dict.fromkeys(header) if name not in known
    ]
    faults += [f"the column {name} is missing" for name in known[:required] if name not in header]
    faults += [f"the column {name} comes twice" for name in known if header.count(name) > 1]
    if faults:
        raise InvalidFile(source, [Problem(line, None, fault) for fault in faults])
    return header


NumberedRow = tuple[int, "list[str] | csv.Error"]
"""The line on which a row of CSV begins, from 1, and its fields or why there are none."""


def numbered_rows(lines: Iterable[str], first: int = 1) -> Iterator[NumberedRow]:
    """Read CSV row by row, past rows that are broken; empty lines are left out.

    Args:
        lines: with their line ends; a byte order mark before line 1 is dropped.
        first: the number of the first of these lines.
    """
    reader = csv.reader(_without_mark(lines) if first == 1 else lines, strict=True)
    while True:
        line = reader.line_num + first
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield line, error
            continue
        if row is None:
            return
        if row:
            yield line, row


def _without_mark(lines: Iterable[str]) -> Iterator[str]:
    rest = iter(lines)
    for first in rest:
        yield first.removeprefix("\ufeff")
        break
    yield from rest
