"""RabbitMQ says which account sent a message, where the sender lets it: that must be the originator's."""

import pytest

from chfw_sr.messages import ResponseCode
from chfw_sr.service.outcome import Ending
from chfw_sr.service.ports import Delivery, MessageKind
from chfw_sr.wire import read_response
from tests.service.world import ALPHA, OPERATOR, World, create


@pytest.fixture
async def world() -> World:
    return await World().populate()


@pytest.mark.parametrize("user_id", [None, OPERATOR, OPERATOR.lower()])
async def test_the_originators_own_account_may_send_for_it(world, user_id) -> None:
    (outcome,) = await world.process(Delivery(world.octets(OPERATOR, create()), 0, user_id=user_id))
    assert (outcome.ending, outcome.code) == (Ending.DONE, ResponseCode.I99)


@pytest.mark.parametrize("user_id", [ALPHA, "guest", "", f"{OPERATOR} ", "x" * 300])
async def test_anybody_elses_is_refused_as_a_wrong_signature_is(world, user_id) -> None:
    octets = world.octets(OPERATOR, create())
    delivery = Delivery(octets, 0, user_id=user_id, reply_to="mine", correlation_id="7")
    world.bus.declare_queue("mine")
    (outcome,) = await world.process(delivery)
    assert (outcome.ending, outcome.code) == (Ending.QUARANTINED, ResponseCode.E902)
    published = await world.published()
    assert [(each.kind, each.recipient) for each in published] == [
        (MessageKind.REPLY, "mine"),
        (MessageKind.QUARANTINE, ""),
    ], "nothing reaches the queues of the User it names"
    assert read_response(published[0].octets).code is ResponseCode.E902
    (kept,) = await world.store.queries.quarantined(10)
    assert kept.octets == octets
    assert await world.store.queries.campaigns() == []


async def test_the_request_id_stays_free_for_whom_it_belongs_to(world) -> None:
    octets = world.octets(OPERATOR, create())
    stolen, own = await world.process(Delivery(octets, 0, user_id=ALPHA), Delivery(octets, 1, user_id=OPERATOR))
    assert [stolen.ending, own.ending] == [Ending.QUARANTINED, Ending.DONE]


async def test_an_answer_that_was_given_is_not_given_to_another_account(world) -> None:
    octets = world.octets(OPERATOR, create())
    await world.process(octets)
    (outcome,) = await world.process(Delivery(octets, 0, user_id=ALPHA))
    assert outcome.ending is Ending.QUARANTINED


async def test_what_was_wrong_already_is_said_first(world) -> None:
    (outcome,) = await world.process(Delivery(b"junk", 0, user_id=ALPHA))
    assert (outcome.ending, outcome.code) == (Ending.QUARANTINED, ResponseCode.E900)
