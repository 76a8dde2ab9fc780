"""The same request again: however it is written, signed or timed, and however many come at once, it has one effect."""

import asyncio
import base64
import re
from collections import Counter
from datetime import timedelta

import pytest

from chfw_sr.messages import ReadCampaignStatus, ResponseCode
from chfw_sr.service.outcome import Ending, Outcome
from chfw_sr.service.ports import Delivery, MessageKind, Store, Unavailable
from chfw_sr.service.processor import Processor
from chfw_sr.storage.store import create_store
from chfw_sr.wire import Intake, Limits, Schemas, write_request
from chfw_sr.wire.signature import P256_ORDER
from tests.service.world import CAMPAIGN, DCC, KEYS, OPERATOR, World, create

COPIES = 50
WORKERS = 5
VALUE = re.compile(rb"(?<=<ds:SignatureValue>)[^<]+")


@pytest.fixture
async def world(store) -> World:
    return await World(store=store).populate()


def with_declaration(octets: bytes) -> bytes:
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + octets + b"\n"


def with_other_quotes(octets: bytes) -> bytes:
    return octets.replace(b'"5.4"', b"'5.4'").replace(b'URI=""', b"URI=''")


def with_character_references(octets: bytes) -> bytes:
    return octets.replace(b"<sr:DeviceManufacturer>A", b"<sr:DeviceManufacturer>&#65;")


def with_a_section(octets: bytes) -> bytes:
    return octets.replace(b">Acme<", b"><![CDATA[Acme]]><")


def with_comments(octets: bytes) -> bytes:
    return octets.replace(b"<sr:Body>", b"<!-- --><sr:Body>")


def with_wrapped_base64(octets: bytes) -> bytes:
    return VALUE.sub(lambda found: found[0][:60] + b"&#13;\n" + found[0][60:], octets)


def with_the_other_s(octets: bytes) -> bytes:
    """Give the signature's twin: for each (r, s), (r, n - s) verifies too."""
    (value,) = VALUE.findall(octets)
    raw = base64.b64decode(value)
    s = P256_ORDER - int.from_bytes(raw[32:], "big")
    return octets.replace(value, base64.b64encode(raw[:32] + s.to_bytes(32, "big")))


SAME = (
    with_declaration,
    with_other_quotes,
    with_character_references,
    with_a_section,
    with_comments,
    with_wrapped_base64,
    with_the_other_s,
)


async def test_a_copy_however_it_is_written_is_the_same_request(world) -> None:
    request = world.request(OPERATOR, create())
    first = write_request(request, KEYS.signers[OPERATOR])
    signed_anew = write_request(request, KEYS.signers[OPERATOR])
    copies = [first, signed_anew, *(rewrite(first) for rewrite in SAME)]
    assert len(set(copies)) == len(SAME) + 2, "all are written otherwise"
    endings = [outcome.ending for copy in copies for outcome in await world.process(copy)]
    assert endings == [Ending.DONE] + [Ending.REPEATED] * (len(copies) - 1)
    published = await world.published()
    assert Counter(each.kind for each in published) == {MessageKind.RESPONSE: len(copies), MessageKind.ALERT: 1}
    assert len({each.octets for each in published if each.kind is MessageKind.RESPONSE}) == 1


async def test_years_later_it_is_still_the_same_request(world) -> None:
    """The outbox has been purged long since; the inbox keeps its keys."""
    octets = world.octets(OPERATOR, create())
    await world.process(octets)
    before = await world.published()
    world.clock.set(world.clock.now() + timedelta(days=800))
    assert await world.store.outbox.purge(world.clock.now(), 1000) == len(before)
    (outcome,) = await world.process(octets)
    assert (outcome.ending, outcome.code) == (Ending.REPEATED, ResponseCode.I99)
    (response,) = await world.published()
    assert response.octets == before[0].octets


async def test_a_read_is_answered_as_it_was_then(world) -> None:
    """Not anew: a repeat of an old read tells what it told."""
    octets = world.octets(OPERATOR, ReadCampaignStatus(campaign_id=CAMPAIGN))
    await world.process(octets)
    (refused, _) = await world.published()
    await world.send(OPERATOR, create())
    await world.published()
    await world.process(octets)
    (again,) = await world.published()
    assert again.octets == refused.octets


async def test_fifty_at_once_in_several_workers_are_one(world, store_url) -> None:
    """Each worker has connections of its own; each copy is signed anew, and is a batch by itself."""
    request = world.request(OPERATOR, create())
    stores: list[Store] = [create_store(store_url) if store_url else world.store for _ in range(WORKERS)]
    workers = [worker(world, store) for store in stores]
    copies = [write_request(request, KEYS.signers[OPERATOR]) for _ in range(COPIES)]

    async def work(number: int) -> list[Outcome]:
        return [await process(workers[number], copy) for copy in copies[number::WORKERS]]

    outcomes = [each for some in await asyncio.gather(*map(work, range(WORKERS))) for each in some]
    for each in stores:
        if each is not world.store:
            await each.close()
    assert Counter(each.ending for each in outcomes) == {Ending.DONE: 1, Ending.REPEATED: COPIES - 1}
    published = await world.published()
    assert Counter(each.kind for each in published) == {MessageKind.RESPONSE: COPIES, MessageKind.ALERT: 1}
    assert len({each.octets for each in published if each.kind is MessageKind.RESPONSE}) == 1
    assert len(await world.store.queries.inbox(100)) == 1


def worker(world: World, store: Store) -> Processor:
    return Processor(
        store=store,
        intake=Intake(Schemas.load(), Limits()),
        signer=KEYS.signers[DCC],
        dcc=DCC,
        policy=world.policy,
        clock=world.clock,
    )


async def process(processor: Processor, octets: bytes) -> Outcome:
    """As the loop of the consumer does: what lost a race comes again."""
    while True:
        try:
            (outcome,) = await processor.process([Delivery(octets, 0)])
        except Unavailable:
            continue
        return outcome
