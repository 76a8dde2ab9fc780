"""How commands speak: data on stdout as JSON or as a table, everything else on stderr.

What came in from outside may hold control characters; `visible` shows them without doing what they say.
"""

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from types import NoneType
from typing import Annotated

import typer
from pydantic import BaseModel
from rich import box
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from chfw_sr.messages import instant_text

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_UNBOUNDED = 10_000
"""Characters of a line where no terminal sets a width: nothing is folded."""


def note(message: str) -> None:
    """Say something to the person at the terminal, on stderr."""
    typer.echo(visible(message), err=True)


def visible(text: str) -> str:
    r"""Show control characters as escapes (`\x1b`); line feeds and tabs stay."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in "\n\t"
        else character.encode("unicode_escape", "backslashreplace").decode("ascii")
        for character in text
    )


def plain(value: object) -> Json:
    """Give a value of the domain as JSON has it: times as `…Z`, sets in order, digests as hex.

    Raises:
        TypeError: if JSON has no form for it.
    """
    match value:
        case None | bool() | int() | float():
            result: Json = value
        case str() | Decimal():
            result = str(value)
        case bytes():
            result = value.hex()
        case datetime():
            result = instant_text(value)
        case Mapping():
            result = {str(key): plain(each) for key, each in value.items()}
        case frozenset():
            result = [plain(each) for each in sorted(value)]
        case list() | tuple():
            result = [plain(each) for each in value]
        case _:
            result = {name: plain(getattr(value, name)) for name in _field_names(value)}
    return result


def _field_names(value: object) -> list[str]:
    if isinstance(value, BaseModel):
        return list(type(value).model_fields)
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    raise TypeError(f"no JSON for {type(value).__name__}")


def record(value: object) -> dict[str, Json]:
    """Give a value with fields as a JSON object.

    Raises:
        TypeError: if the value has no fields.
    """
    result = plain(value)
    if not isinstance(result, dict):
        raise TypeError(f"{type(value).__name__} has no fields")
    return result


def print_json(value: object) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(plain(value), indent=2, ensure_ascii=False))


def cell(value: object) -> str:
    """Give a value as it stands in a table."""
    shown = plain(value)
    if shown is None:
        return "-"
    if isinstance(shown, bool):
        return "yes" if shown else "no"
    if isinstance(shown, list):
        return ", ".join(cell(each) for each in shown) or "-"
    if isinstance(shown, dict):
        return ", ".join(f"{name}={cell(each)}" for name, each in shown.items()) or "-"
    return visible(str(shown))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print rows as a table; numbers stand to the right. No rows: only the header.

    Args:
        columns: what stands above them.
        rows: as many values each as there are columns.
        title: what stands on a line of its own before the table, after an empty one.
    """
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    kept = [list(row) for row in rows]
    for index, column in enumerate(columns):
        numeric = {type(row[index]) for row in kept} in ({int}, {int, NoneType})
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in kept:
        table.add_row(*(Text(cell(value)) for value in row))
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else _UNBOUNDED, highlight=False, markup=False)
    with console.capture() as capture:
        console.print(table)
    if title:
        typer.echo(f"\n{title}")
    typer.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def print_fields(fields: Mapping[str, object]) -> None:
    """Print names and values, one pair a line."""
    width = max(map(len, fields))
    for name, value in fields.items():
        typer.echo(f"{name:<{width}}  {cell(value)}")


class Bar:
    """A progress bar that counts octets read."""

    def __init__(self, progress: Progress, total: int | None, description: str) -> None:
        self._progress = progress
        self._task = progress.add_task(description, total=total)

    def reached(self, octets: int) -> None:
        """Move the bar to this many octets since the beginning."""
        self._progress.update(self._task, completed=octets)


@contextmanager
def progress_bar(description: str, total: int | None) -> Iterator[Bar]:
    """Show a progress bar on stderr while the work inside lasts, if that is a terminal.

    Args:
        description: what is being done.
        total: octets in all; None if nobody knows.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress, total, description)
