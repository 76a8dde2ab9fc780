"""Takes every hostile document in, in a process of its own that is watched and held to its bounds; prints what it saw.

Arguments: a folder with a file `bait`, and a port on which somebody listens. Both are named in the documents. Bounds
are set on memory and on CPU, so generous that only growth beyond any proportion meets them.
"""

import ctypes
import json
import os
import resource
import sys
from pathlib import Path

from chfw_sr.wire.names import parse_name
from tests.attacks.forge import end_of
from tests.attacks.hostile_xml import ATTACKS, GOOD, aimed
from tests.wire.makers import request, signed

IN_OPEN_OR_READ = 0x20 | 0x01
MEMORY = 1 << 30  # octets above what is taken before the first attack
CPU_SECONDS = 120
WATCHED = ("open", "socket.", "subprocess.", "os.exec", "os.fork", "os.system", "ctypes.dlopen", "import", "urllib.")

events: list[str] = []


def audit(event: str, args: tuple[object, ...]) -> None:
    """Note what touches files, sockets, processes or code."""
    if event.startswith(WATCHED):
        events.append(f"{event} {args!r:.200}")


def watched(folder: Path) -> int:
    """Watch a folder, for those opens that Python is not asked about: libxml2's."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    assert descriptor >= 0
    assert libc.inotify_add_watch(descriptor, bytes(folder), IN_OPEN_OR_READ) >= 0
    return int(descriptor)


def opened(descriptor: int) -> bool:
    """Tell whether anything in the watched folder was opened since the last call."""
    try:
        return bool(os.read(descriptor, 65536))
    except BlockingIOError:
        return False


def main() -> None:
    """Attack, and print the result as JSON."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    descriptor = watched(folder)
    (folder / "bait").read_bytes()
    watching = opened(descriptor)  # the watch works
    documents = [(attack, aimed(attack.make(), bait=str(folder / "bait"), port=port)) for attack in ATTACKS]
    for octets in (GOOD, b"<a", request("<sr:Other/>"), signed(request("<sr:Other/>"))):
        end_of(octets)  # what is loaded once is loaded
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    sys.addaudithook(audit)
    wrong = []
    for attack, octets in documents:
        end = end_of(octets)
        if end.attributed or end.code != attack.code:
            wrong.append(f"{attack.name}: {end}")
    for blanks in range(2000):  # a name of blanks cost 30 ms once
        try:
            parse_name("CN=" + " " * (900 - blanks % 7) + '"')
        except ValueError:
            continue
        wrong.append("a name of blanks")
    seen, touched = list(events), opened(descriptor)
    end_of(GOOD)
    with (folder / "bait").open("rb"):  # so does the hook
        watching = watching and opened(descriptor) and len(events) > len(seen)
    sys.stdout.write(
        json.dumps(
            {"documents": len(documents), "wrong": wrong, "events": seen, "touched": touched, "watching": watching}
        )
    )


if __name__ == "__main__":
    main()
