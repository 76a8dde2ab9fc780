"""What a forged message costs, beside an honest one of the same size: `python -m benchmarks.hostile`.

Each document is taken in by a process of its own: the least CPU of five, and by how much the memory grew. Beside it
stands an honest message of (nearly) the same size, a signed report of activations, measured in the same way in the same
run: the ratio of the two depends little on the machine.
"""

import os
import re
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.attacks.hostile_xml import ATTACKS, GOOD, HARMLESS, LARGEST, aimed
from tests.wire.makers import activation, hubs, report, signed, take

TIMES = 5
MOST_ACTIVATIONS = 10_000
MEBIOCTET = 1024 * 1024


@dataclass(frozen=True)
class Cost:
    """What taking a document in costs: CPU in seconds, memory in octets."""

    cpu: float
    memory: int


def cost(octets: bytes) -> Cost:
    """Take a document in, in a process of its own that has taken an ordinary one in before."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        take(GOOD)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        times = []
        for _ in range(TIMES):
            start = time.process_time()
            take(octets)
            times.append(time.process_time() - start)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        os.write(writing, f"{min(times)} {grown * 1024}".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        cpu, memory = pipe.read().split()
    os.waitpid(child, 0)
    return Cost(float(cpu), int(memory))


def honest(octets: int) -> bytes:
    """A signed report of nearly so many octets: as many activations as a report may have, and reasons that fill it."""
    octets = min(octets, LARGEST)
    reason = max(1, min(250, (octets - len(signed(_report(1, 1)))) // MOST_ACTIVATIONS - len(_failure(hubs(1)[0], 0))))
    each = len(_failure(hubs(1)[0], reason))
    count = max(1, min(MOST_ACTIVATIONS, (octets - len(signed(_report(1, reason)))) // each + 1))
    return signed(_report(count, reason))


def _failure(hub: str, reason: int) -> str:
    return activation(device=hub, result="Failure", rest=f"<sr:FailureReason>{'x' * reason}</sr:FailureReason>")


def _report(count: int, reason: int) -> bytes:
    return report(*(_failure(hub, reason) for hub in hubs(count)))


@cache
def _largest() -> bytes:
    return honest(LARGEST)


def _wrong(text: str, count: int = MOST_ACTIVATIONS) -> bytes:
    return signed(report(*[text] * count))


_ATTRIBUTES = " ".join(f'a{number}=""' for number in range(9))
_ALL_WRONG = (
    "<sr:Activation><sr:DeviceID {0}>x</sr:DeviceID><sr:FirmwareVersion/><sr:ActivationDateTime>x"
    "</sr:ActivationDateTime><sr:Result {0}>x</sr:Result></sr:Activation>"
)
FORGED: dict[str, Callable[[], bytes]] = {
    "the largest, changed after it was signed": lambda: _largest().replace(b"1.2.3", b"1.2.4", 1),
    "the largest, signature changed": lambda: re.sub(
        rb"(<ds:SignatureValue>)(.)", lambda found: found[1] + (b"A" if found[2] != b"A" else b"B"), _largest()
    ),
    "the largest, every result wrong": lambda: _largest().replace(b">Failure<", b">Failurx<"),
    "the largest, the last result wrong": lambda: b">Failurx<".join(_largest().rsplit(b">Failure<", 1)),
    "10,000 activations, every field wrong": lambda: _wrong(_ALL_WRONG.format("")),
    "10,000 activations, every field and attribute wrong": lambda: _wrong(_ALL_WRONG.format(_ATTRIBUTES)),
    "10,000 activations, the last one wrong": lambda: signed(_report(9_999, 100)).replace(
        b"</sr:ReportFirmwareActivation>", _ALL_WRONG.format("").encode() + b"</sr:ReportFirmwareActivation>"
    ),
    "60,000 empty activations": lambda: _wrong("<sr:Activation/>", 60_000),
    "100,000 transforms": lambda: GOOD.replace(
        b"</ds:Transforms>", b'<ds:Transform a=""/>' * 100_000 + b"</ds:Transforms>"
    ),
    "190,000 parameters of a transform": lambda: GOOD.replace(
        b"</ds:Transform>", b"<x/>" * 190_000 + b"</ds:Transform>"
    ),
    "an issuer's name of blanks": lambda: re.sub(
        rb"(<ds:X509IssuerName>)[^<]*", rb"\g<1>CN=" + b" " * 900 + b'"', GOOD
    ),
}  # fmt: skip


def main() -> None:
    """Measure, and print a table, the worst first."""
    documents = [(name, make()) for name, make in FORGED.items()]
    documents += [(attack.name, aimed(attack.make())) for attack in [*ATTACKS, *HARMLESS]]
    largest = cost(_largest())
    print(f"honest, {len(_largest()):,} octets: {largest.cpu * 1000:.1f} ms, {largest.memory / MEBIOCTET:.0f} MiB\n")
    print("| message | octets | CPU, ms | of an honest one of its size | of the largest honest one | MiB |")
    print("|---|--:|--:|--:|--:|--:|")
    rows = []
    for name, octets in documents:
        found = cost(octets)
        same = cost(honest(len(octets)))
        rows.append((found.cpu / largest.cpu, found.cpu / same.cpu, name, len(octets), found))
    for of_largest, of_same, name, size, found in sorted(rows, reverse=True):
        print(
            f"| {name} | {size:,} | {found.cpu * 1000:.1f} | {of_same:.2f} | {of_largest:.2f} "
            f"| {found.memory / MEBIOCTET:.0f} |"
        )


if __name__ == "__main__":
    main()
