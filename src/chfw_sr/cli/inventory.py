"""`chfw-sr inventory`: the hubs."""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from chfw_sr.campaign.model import Hub
from chfw_sr.service.ports import ImportCount, Store
from chfw_sr.service.registration import InvalidFile, InventoryChunk, Problem, read_inventory

from .app import SHOWN_PROBLEMS, CommandError, command, command_group, with_store
from .output import Bar, JsonOption, note, print_json, progress_bar

MAX_LINE = 65_536
"""Octets of one line, so that memory stays bounded whatever the file is."""

inventory_app = command_group("inventory", "Import the inventory of Communications Hubs.")


@dataclass(slots=True)
class _Faults:
    """What was wrong so far: the first few problems, and how many lines are bad."""

    lines: int = 0
    shown: list[Problem] = field(default_factory=list)

    def add(self, chunk: InventoryChunk) -> None:
        self.lines += chunk.bad_rows
        self.shown += chunk.problems[: SHOWN_PROBLEMS - len(self.shown)]

    def report(self, source: str) -> str:
        lines = [f"{source}: {problem}" for problem in self.shown]
        return "\n".join([*lines, f"{source}: bad lines: {self.lines}"])


@command(inventory_app, "import")
def import_inventory(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV; - reads stdin.")],
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Import the good lines, leave out the bad ones.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Add or replace hubs, any number of them.

    All or nothing, unless --skip-bad. What a replaced hub has done, and its place in a campaign, stay as they are.

    FILE is CSV in UTF-8 with a header; it may be of any length. Its columns may stand in any order.

    Columns:
      eui                      as in 90-B3-D5-1F-30-A0-00-01
      manufacturer, model      1 to 30 characters each
      firmware_version         1 to 8 characters
      region                   North, Central or South
      status                   Commissioned, Pending, InstalledNotCommissioned,
                               Suspended, Decommissioned or Withdrawn
      import_supplier, gas_supplier, electricity_distributor, gas_transporter
                               EUIs of the responsible Users; may be empty or missing

    Bad lines are reported with line number and field: the first 20 in full, all of them counted. With --skip-bad the
    exit code is 0 all the same.

    Example:
      chfw-sr inventory import hubs.csv
      zcat hubs.csv.gz | chfw-sr inventory import --skip-bad -
    """
    faults = _Faults()

    with _opened(file) as octets, progress_bar("importing hubs", _size(octets)) as bar:

        async def load(store: Store) -> ImportCount:
            chunks = _good_chunks(octets, file, faults, bar, skip_bad=skip_bad)
            return await store.register.import_hubs(chunks, datetime.now(UTC))

        count = with_store(context, load)
    if faults.lines:
        note(faults.report(file))
    if json_output:
        print_json(
            {"added": count.added, "changed": count.changed, "unchanged": count.unchanged, "skipped": faults.lines}
        )
    note(f"hubs: {count.added} added, {count.changed} changed, {count.unchanged} unchanged, {faults.lines} skipped")


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    with Path(file).open("rb") as octets:
        yield octets


def _size(octets: BinaryIO) -> int | None:
    try:
        status = os.fstat(octets.fileno())
    except OSError:  # stdin is not always a file
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


async def _good_chunks(
    octets: BinaryIO, source: str, faults: _Faults, bar: Bar, *, skip_bad: bool
) -> AsyncIterator[Sequence[Hub]]:
    """Give the good hubs; once a line is bad and that matters, only count to the end, then raise."""
    async for chunk in _read_ahead(read_inventory(_lines(octets, source, bar), source)):
        faults.add(chunk)
        if chunk.hubs and (skip_bad or not faults.lines):
            yield chunk.hubs
    if faults.lines and not skip_bad:
        raise CommandError(f"{faults.report(source)}\nnothing was imported; correct the lines, or use --skip-bad")


async def _read_ahead(chunks: Iterator[InventoryChunk]) -> AsyncIterator[InventoryChunk]:
    """Read the next chunk in a thread while the last one goes to the database."""
    reading = asyncio.create_task(asyncio.to_thread(next, chunks, None))
    try:
        while chunk := await reading:
            reading = asyncio.create_task(asyncio.to_thread(next, chunks, None))
            yield chunk
    finally:
        await asyncio.wait([reading])  # a thread cannot be stopped, and it reads a file that is about to be closed


def _lines(octets: BinaryIO, source: str, bar: Bar) -> Iterator[str]:
    """Give line by line; all but the last end with a line feed, and nothing else ends one."""
    return chain.from_iterable(map(partial(StringIO, newline="\n"), _texts(octets, source, bar)))


def _texts(octets: BinaryIO, source: str, bar: Bar) -> Iterator[str]:
    """Decode whole lines, some at once; what is not UTF-8 becomes lone surrogates, which no field accepts."""
    line, read, begun = 1, 0, b""
    while block := octets.read(MAX_LINE):
        bar.reached(read)
        read += len(block)
        if len(begun) + (block.find(b"\n") + 1 or len(block)) >= MAX_LINE:  # no other line of a block can be so long
            raise InvalidFile(source, [Problem(line, None, f"longer than {MAX_LINE} octets; is this a CSV file?")])
        end = block.rfind(b"\n") + 1
        whole, begun = (begun + block[:end], block[end:]) if end else (b"", begun + block)
        line += whole.count(b"\n")
        yield whole.decode("utf-8", "surrogateescape")
    yield begun.decode("utf-8", "surrogateescape")
