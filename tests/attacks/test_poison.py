"""What one hostile message may do to the process and to its neighbours: nothing."""

import random
import sys
from pathlib import Path

import pytest

from chfw_sr.messages import Rejected
from chfw_sr.service.outcome import DEFECT, Ending
from chfw_sr.service.ports import Delivery
from chfw_sr.wire import Attributed, Intake
from tests.service.world import ALPHA, OPERATOR, World, create
from tests.wire.makers import request, signed, take

MEBIOCTET = 1024 * 1024


@pytest.fixture
async def world() -> World:
    return await World().populate()


async def test_a_defect_of_the_intake_costs_the_one_message_that_meets_it(world, monkeypatch):
    real = Intake.take

    def frail(self, documents, trust, now):
        if b"poison" in documents:
            raise ZeroDivisionError("a defect")
        return real(self, documents, trust, now)

    monkeypatch.setattr(Intake, "take", frail)
    good, other = world.octets(OPERATOR, create()), world.octets(ALPHA, create())
    outcomes = await world.process(good, Delivery(b"poison", 0), other)
    assert [(each.ending, each.code) for each in outcomes] == [
        (Ending.DONE, "I99"),
        (Ending.QUARANTINED, DEFECT),
        (Ending.REFUSED, "E2"),
    ]
    assert outcomes[1].reason == "ZeroDivisionError: a defect"
    (kept,) = [letter for letter in await world.published() if letter.octets == b"poison"]
    assert kept.headers["x-chfw-code"] == DEFECT


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
async def test_names_that_nobody_has_heard_of_do_not_stay_in_memory(world):
    # lxml keeps the names of all documents that a thread has parsed: 30 MiB for each of these, if the thread lives on.
    async def send(count: int) -> None:
        for _ in range(count):
            salt = random.randrange(10**9)
            names = b"".join(b"<n%d_%d/>" % (salt, number) for number in range(150_000))
            (outcome,) = await world.process(b"<a>" + names + b"</a>")
            assert outcome.code == "E901"

    await send(3)
    before = resident()
    await send(9)
    assert resident() - before < 9 * 15 * MEBIOCTET


@pytest.mark.parametrize(
    "octets",
    [
        b"<a",
        b"<a/>",
        request("<sr:Other/>"),
        signed(request("<sr:Other/>")),
        signed(request(reference="11.6")),
        signed().replace(b"C1", b"C2"),
    ],
    ids=["E900", "root", "E901", "signed E901", "reader", "E902"],
)
def test_a_refusal_that_is_kept_keeps_no_document_alive(octets):
    found = take(octets)
    rejection = found.outcome if isinstance(found, Attributed) else found.rejection
    assert isinstance(rejection, Rejected)
    assert (rejection.__traceback__, rejection.__context__, rejection.__cause__) == (None, None, None)
