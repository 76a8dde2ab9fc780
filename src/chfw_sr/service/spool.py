"""A folder as the bus of `run --embedded`: files come in, files go out, and a crash at any moment loses neither.

    in/                 *.xml, put there by renaming (a file that is still being written must not be called *.xml)
    done/               what was committed; a name that is taken gets a number
    out/                what was emitted, laid out as by replay: alerts/<recipient EUI>/<n>-<code>.xml, responses/…

An incoming file is moved after the commit alone. After a crash it is still there, is processed again, and is then a
repeat. <n> is the message's number in the outbox, so a message that is emitted again takes the same name with the same
octets; numbers grow in the order in which a recipient's messages are to be read.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import count, islice
from pathlib import Path

from .ports import Delivery, MessageKind, OutboxMessage, PublishResult, Unavailable
from .replay import code_of, folder_of, headers_of

logger = logging.getLogger(__name__)


class SpoolConsumer:
    """Takes Service Requests from a folder, in order of name; a `Consumer`.

    Args:
        folder: the spool; its `in/` and `done/` are made if need be.
        max_octets: the largest Service Request that is read; of a larger file one octet more is, so that it is refused.
        idle_seconds: how often to look for new files.
    """

    def __init__(self, folder: Path, *, max_octets: int, idle_seconds: float) -> None:
        self._in, self._done = folder / "in", folder / "done"
        self._max_octets = max_octets
        self._idle_seconds = idle_seconds
        self._tags = count(1)
        self._held: dict[int, str] = {}
        self._found: deque[str] = deque()
        self._unreadable: set[str] = set()
        self._seen = 0
        for each in (self._in, self._done):
            each.mkdir(parents=True, exist_ok=True)

    @property
    def waiting(self) -> int:
        """How many files wait, as of the last look."""
        return self._seen

    def is_there(self) -> bool:
        """Tell whether the folders are there."""
        return self._in.is_dir() and self._done.is_dir()

    async def receive(self, limit: int, wait_seconds: float) -> Sequence[Delivery]:  # noqa: ARG002 - the port's
        """Wait for at least one file, then take those that are there, at most `limit`.

        Raises:
            Unavailable: if the folder cannot be read.
        """
        while True:
            try:
                deliveries = await asyncio.to_thread(self._take, limit)
            except OSError as error:
                raise Unavailable(f"the spool cannot be read: {error}") from error
            if deliveries:
                for delivery in deliveries:
                    self._held[delivery.tag] = str(delivery.source)
                return deliveries
            await asyncio.sleep(self._idle_seconds)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Move files to `done/`.

        Raises:
            Unavailable: if that fails; they come again and are repeats then.
        """
        names = [self._held[delivery.tag] for delivery in deliveries]
        try:
            await asyncio.to_thread(self._move, names)
        except OSError as error:
            raise Unavailable(f"the spool cannot be written: {error}") from error
        finally:  # until then whoever looks for files meanwhile must not take them for new ones
            await self.requeue(deliveries)

    async def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """Leave files where they are, to be taken again."""
        for delivery in deliveries:
            del self._held[delivery.tag]

    def _take(self, limit: int) -> list[Delivery]:
        if not self._found:
            self._found.extend(self._look())
        taken: list[Delivery] = []
        while self._found and len(taken) < limit:
            name = self._found.popleft()
            octets = self._read(name)
            if octets is not None:
                taken.append(Delivery(octets, next(self._tags), source=name))
        return taken

    def _look(self) -> list[str]:
        with os.scandir(self._in) as entries:
            names = sorted(
                each.name
                for each in entries
                if each.name.endswith(".xml") and not each.name.startswith(".") and each.is_file(follow_symlinks=False)
            )
        self._seen = len(names)
        held = set(self._held.values())
        self._unreadable.intersection_update(names)
        return [name for name in names if name not in held]

    def _read(self, name: str) -> bytes | None:
        """Read a file; None if it is gone, or cannot be read, which is said once."""
        try:
            with (self._in / name).open("rb") as file:
                return file.read(self._max_octets + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            if name not in self._unreadable:
                self._unreadable.add(name)
                logger.error("%s stays where it is: %s", name, error)  # noqa: TRY400 - the message says it all
            return None

    def _move(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                (self._in / name).rename(_free(self._done / name))
            except FileNotFoundError:
                logger.warning("%s was taken away while it was processed", name)


def _free(path: Path) -> Path:
    """Give a path that is not taken: with a number before its suffix if need be."""
    if not path.exists():
        return path
    numbered = (path.with_name(f"{path.stem}.{number}{path.suffix}") for number in count(2))
    return next(each for each in numbered if not each.exists())


class SpoolPublisher:
    """Writes outbox messages to files; a `Publisher`. A message is confirmed once it is safe on disk.

    Args:
        folder: the spool; everything is written below its `out/`.
    """

    def __init__(self, folder: Path) -> None:
        self._out = folder / "out"

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishResult]:
        """Write many, in order; a reply is unroutable, since nobody waits for one here.

        Raises:
            Unavailable: if the folder cannot be written.
        """
        try:
            return await asyncio.to_thread(self._write_all, messages)
        except OSError as error:
            raise Unavailable(f"the spool cannot be written: {error}") from error

    def _write_all(self, messages: Sequence[OutboxMessage]) -> list[PublishResult]:
        folders: set[Path] = set()
        results = []
        for message in messages:
            if message.kind is MessageKind.REPLY:
                results.append(PublishResult.UNROUTABLE)
                continue
            folder = folder_of(self._out, message)
            if folder not in folders:
                folder.mkdir(parents=True, exist_ok=True)
                folders.add(folder)
            path = folder / f"{message.id:012}-{code_of(message)}.xml"
            if message.kind is MessageKind.QUARANTINE:
                _write(path.with_suffix(".json"), headers_of(message))
            _write(path, message.octets)
            results.append(PublishResult.CONFIRMED)
        for folder in _with_parents(folders, self._out.parent):
            _sync_folder(folder)
        return results


def _with_parents(folders: Iterable[Path], root: Path) -> set[Path]:
    """Give folders and what lies between them and the root: their names must be safe on disk too."""
    return {
        each for folder in folders for each in (folder, *islice(folder.parents, len(folder.relative_to(root).parts)))
    }


def _write(path: Path, octets: bytes) -> None:
    """Write a file so that under its name there is all of it or nothing."""
    partial = path.with_name(f".{path.name}.part")
    with partial.open("wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
