"""The processor: what becomes of a delivery, in one transaction, and what it never does."""

import asyncio
import itertools
import logging
from collections import Counter
from dataclasses import replace

import pytest

from chfw_sr.messages import (
    EUI,
    CampaignID,
    ReadPilotPlan,
    RequestID,
    ResponseCode,
    UpdatePilotPreferences,
)
from chfw_sr.service.batches import Batch
from chfw_sr.service.outcome import DEFECT, Ending
from chfw_sr.service.ports import Delivery, MessageKind, Unavailable
from chfw_sr.wire import write_request

from .world import (
    ALPHA,
    CAMPAIGN,
    DAY,
    DCC,
    GASCO,
    KEYS,
    NORTH,
    OPERATOR,
    START,
    SUSPENDED,
    World,
    create,
    hub_eui,
    publish,
)


@pytest.fixture
async def world() -> World:
    return await World().populate()


@pytest.fixture
async def consulting(world: World) -> World:
    """A campaign whose Suppliers are asked."""
    await world.send(OPERATOR, create())
    await world.send(OPERATOR, publish([hub_eui(0), hub_eui(1), hub_eui(7)]))
    await world.published()
    return world


def nominate(*numbers: int) -> UpdatePilotPreferences:
    return UpdatePilotPreferences(campaign_id=CAMPAIGN, preferred_list=tuple(map(hub_eui, numbers)))


async def test_a_request_ends_in_one_response_and_one_outcome_alert(world: World) -> None:
    outcome = await world.send(OPERATOR, create())
    assert (outcome.ending, outcome.code, outcome.alerts) == (Ending.DONE, "I99", 1)
    response, alert = await world.published()
    assert (response.kind, response.recipient, response.type) == (MessageKind.RESPONSE, OPERATOR, "11.20")
    assert response.message_id == f"{DCC}:{OPERATOR}:1"
    assert (alert.kind, alert.recipient, alert.type) == (MessageKind.ALERT, OPERATOR, "N911")
    assert alert.message_id == f"{DCC}:{OPERATOR}:{alert.id}"


async def test_the_answer_also_goes_to_reply_to_with_the_senders_correlation(world: World) -> None:
    world.bus.declare_queue("adapter")
    octets = world.octets(OPERATOR, create())
    await world.process(Delivery(octets, 0, reply_to="adapter", correlation_id="c-1"))
    response, reply, _ = await world.published()
    assert (reply.kind, reply.recipient) == (MessageKind.REPLY, "adapter")
    assert reply.octets == response.octets
    assert reply.message_id == response.message_id
    assert {reply.correlation_id, response.correlation_id} == {"c-1"}


async def test_without_a_correlation_id_the_request_id_serves(world: World) -> None:
    await world.send(OPERATOR, create())
    response, _ = await world.published()
    assert response.correlation_id == f"{OPERATOR}:{DCC}:1"


@pytest.mark.parametrize("signed_again", [False, True])
async def test_a_repeat_is_answered_again_and_changes_nothing(consulting: World, signed_again: bool) -> None:
    request = consulting.request(ALPHA, nominate(0, 1))
    octets = write_request(request, KEYS.signers[ALPHA])
    await consulting.process(octets)
    response, *alerts = await consulting.published()
    assert [alert.type for alert in alerts] == ["N902"]
    history = await consulting.store.queries.campaign_history(CAMPAIGN, 100)
    again = write_request(request, KEYS.signers[ALPHA]) if signed_again else octets
    assert (again != octets) is signed_again
    (outcome,) = await consulting.process(again)
    assert (outcome.ending, outcome.code) == (Ending.REPEATED, "I99")
    (repeated,) = await consulting.published()
    assert (repeated.octets, repeated.message_id) == (response.octets, response.message_id)
    assert await consulting.store.queries.campaign_history(CAMPAIGN, 100) == history


async def test_other_content_under_a_used_request_id_is_a_conflict_and_its_repeat_a_repeat(consulting: World) -> None:
    first = consulting.request(ALPHA, nominate(0))
    other = first.model_copy(update={"body": nominate(1)})
    await consulting.process(write_request(first, KEYS.signers[ALPHA]))
    await consulting.published()
    octets = write_request(other, KEYS.signers[ALPHA])
    (conflict,) = await consulting.process(octets)
    assert (conflict.ending, conflict.code) == (Ending.REFUSED, ResponseCode.E903)
    assert await consulting.told() == [(ALPHA, "N904")]
    (repeat,) = await consulting.process(octets)
    assert (repeat.ending, repeat.code) == (Ending.REPEATED, ResponseCode.E903)
    assert await consulting.told() == []


async def test_a_batch_decides_in_order_and_sees_its_own_changes(world: World) -> None:
    documents = [
        world.octets(OPERATOR, create()),
        world.octets(OPERATOR, create()),
        world.octets(OPERATOR, publish([hub_eui(0)])),
        world.octets(ALPHA, nominate(0)),
    ]
    outcomes = await world.process(*documents)
    assert [outcome.code for outcome in outcomes] == ["I99", "E112003", "I99", "I99"]


async def test_a_repeat_within_one_batch_is_a_repeat(world: World) -> None:
    request = world.request(OPERATOR, create())
    signed = [write_request(request, KEYS.signers[OPERATOR]) for _ in range(3)]
    other = write_request(request.model_copy(update={"body": create("CH-2027-02")}), KEYS.signers[OPERATOR])
    outcomes = await world.process(signed[0], signed[1], other, signed[2])
    assert [outcome.ending for outcome in outcomes] == [Ending.DONE, Ending.REPEATED, Ending.REFUSED, Ending.REPEATED]
    assert Counter(await world.told()) == {(OPERATOR, "N911"): 1, (OPERATOR, "N904"): 1}


async def test_a_refused_request_is_recorded_answered_and_told(world: World) -> None:
    outcome = await world.send(ALPHA, ReadPilotPlan(campaign_id=CAMPAIGN))
    assert (outcome.ending, outcome.code) == (Ending.REFUSED, ResponseCode.E110501)
    assert await world.told() == [(ALPHA, "N904")]
    (entry,) = await world.store.queries.inbox(10)
    assert (entry.request_id, entry.code, entry.conflict) == (f"{ALPHA}:{DCC}:1", "E110501", False)


async def test_a_read_that_is_served_alerts_nobody(consulting: World) -> None:
    outcome = await consulting.send(ALPHA, ReadPilotPlan(campaign_id=CAMPAIGN))
    assert (outcome.code, outcome.alerts) == (ResponseCode.I0, 0)
    assert [message.kind for message in await consulting.published()] == [MessageKind.RESPONSE]


@pytest.mark.parametrize(
    ("sender", "changes", "code"),
    [
        (NORTH, {}, ResponseCode.E2),
        (SUSPENDED, {}, ResponseCode.E3),
        (OPERATOR, {"command_variant": 1}, ResponseCode.E12),
        (OPERATOR, {"request_id": RequestID(originator=OPERATOR, target=ALPHA, counter=1)}, ResponseCode.E904),
    ],
)
async def test_who_and_how(world: World, sender: EUI, changes: dict, code: ResponseCode) -> None:
    outcome = await world.send(sender, create(), **changes)
    assert (outcome.ending, outcome.code) == (Ending.REFUSED, code)
    assert await world.told() == [(sender, "N904")]


async def test_a_verified_sender_who_is_no_user_is_e1(world: World) -> None:
    record = next(each for each in await world.store.register.users() if each.user.eui == ALPHA)
    nobody = replace(record, user=replace(record.user, roles=frozenset()))
    await world.store.register.save_users([nobody], START)
    outcome = await world.send(ALPHA, ReadPilotPlan(campaign_id=CAMPAIGN))
    assert outcome.code == ResponseCode.E1


async def test_a_forged_request_is_quarantined_and_answered_on_its_reply_to_alone(world: World) -> None:
    world.bus.declare_queue("forger")
    request = world.request(OPERATOR, create())
    forged = write_request(request, KEYS.signers[ALPHA])
    (outcome,) = await world.process(Delivery(forged, 0, reply_to="forger", correlation_id="x"))
    assert (outcome.ending, outcome.code) == (Ending.QUARANTINED, ResponseCode.E902)
    reply, quarantined = await world.published()
    assert (reply.kind, reply.recipient) == (MessageKind.REPLY, "forger")
    assert (quarantined.kind, quarantined.octets) == (MessageKind.QUARANTINE, forged)
    assert quarantined.headers["x-chfw-code"] == "E902"
    (item,) = await world.store.queries.quarantined(10)
    assert (item.octets, item.code, item.reply_to) == (forged, "E902", "forger")
    assert await world.store.queries.inbox(10) == []
    genuine = await world.process(write_request(request, KEYS.signers[OPERATOR]))
    assert genuine[0].ending is Ending.DONE, "a forger must not use up another's RequestID"


async def test_what_names_nobody_is_quarantined_and_answered_nowhere(world: World) -> None:
    (outcome,) = await world.process(Delivery(b"<not-xml", 0, reply_to="somewhere"))
    assert (outcome.ending, outcome.code) == (Ending.QUARANTINED, ResponseCode.E900)
    (message,) = await world.published()
    assert message.kind is MessageKind.QUARANTINE


async def test_a_new_certificate_is_trusted_from_the_next_batch_on(world: World) -> None:
    record = next(each for each in await world.store.register.users() if each.user.eui == OPERATOR)
    await world.store.register.save_users([replace(record, certificates=())], START)
    assert (await world.send(OPERATOR, create())).code == ResponseCode.E902
    await world.store.register.save_users([record], START)
    assert (await world.send(OPERATOR, create())).code == ResponseCode.I99


@pytest.mark.parametrize("others", [0, 1])
async def test_what_was_taken_in_before_the_register_changed_is_judged_by_what_it_says_now(
    world: World, others: int
) -> None:
    """Also where nothing is claimed, because all were signed by somebody whom nobody trusted yet."""
    record = next(each for each in await world.store.register.users() if each.user.eui == OPERATOR)
    documents = [world.octets(OPERATOR, create()), *[b"<not-xml"] * others]
    deliveries = [Delivery(octets, tag) for tag, octets in enumerate(documents)]
    for certificates, code in (((), ResponseCode.E902), (record.certificates, ResponseCode.I99)):
        taken = await world.processor.take(deliveries)
        await world.store.register.save_users([replace(record, certificates=certificates)], START)
        settled = await world.processor.settle(taken)
        assert [outcome.code for outcome in settled.outcomes] == [code, *[ResponseCode.E900] * others]


@pytest.mark.parametrize("changed", [0, 1, 2])
async def test_batches_that_are_joined_are_one_batch_whatever_the_register_was_for_each(
    world: World, changed: int
) -> None:
    """The register changes before one of them is taken in, or when both are."""
    record = next(each for each in await world.store.register.users() if each.user.eui == OPERATOR)
    documents = [
        [world.octets(OPERATOR, create()), b"<not-xml"],
        [b"<nor-this", world.octets(OPERATOR, create("CH-2027-02"))],
    ]
    await world.store.register.save_users([replace(record, certificates=())], START)
    await world.process(b"<read-the-register")
    taken = []
    for number, some in enumerate(documents):
        if number == changed:
            await world.store.register.save_users([record], START)
            if number:
                await world.process(b"<read-the-register")
        taken.append(await world.processor.take([Delivery(octets, tag) for tag, octets in enumerate(some)]))
    if changed == len(documents):
        await world.store.register.save_users([record], START)
    joined = Batch.joined(taken)
    assert [each.octets for each in joined.deliveries] == [octets for some in documents for octets in some]
    settled = await world.processor.settle(joined)
    assert [outcome.code for outcome in settled.outcomes] == ["I99", "E900", "E900", "I99"]


async def test_a_batch_tells_when_the_database_has_the_word(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool | str] = []
    async with world.store.begin() as work:
        kind = type(work)
    anticipate, commit = kind.anticipate, kind.commit

    async def asks(work, needs) -> None:
        told.append("asks")
        await anticipate(work, needs)

    async def commits(work) -> None:
        told.append("commits")
        if told.count("commits") == 1:
            raise ZeroDivisionError
        await commit(work)

    monkeypatch.setattr(kind, "anticipate", asks)
    monkeypatch.setattr(kind, "commit", commits)
    documents = [world.octets(OPERATOR, create()), world.octets(OPERATOR, create("CH-2027-02"))]
    taken = await world.processor.take([Delivery(octets, tag) for tag, octets in enumerate(documents)])
    settled = await world.processor.settle(taken, told.append)
    assert [outcome.code for outcome in settled.outcomes] == ["I99", "I99"]
    assert told == [True, "asks", "asks", False, True, "commits"] * 3


async def test_a_register_that_changes_all_the_time_makes_a_batch_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = await world.processor.take([Delivery(world.octets(OPERATOR, create()), 0)])
    revisions = itertools.count(1_000_000)

    async def another(_self: object) -> int:
        return next(revisions)

    async with world.store.begin() as work:
        monkeypatch.setattr(type(work), "trust_revision", another)
    with pytest.raises(Unavailable, match="changes faster"):
        await world.processor.settle(taken)
    assert await world.store.queries.inbox(10) == []


async def test_a_defect_costs_the_one_message_that_meets_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from chfw_sr.service import conduct

    real = conduct.decide

    def broken(request, *rest):
        if request.body.campaign_id == "BROKEN":
            raise ZeroDivisionError("a defect")
        return real(request, *rest)

    monkeypatch.setattr(conduct, "decide", broken)
    outcomes = await world.process(
        world.octets(OPERATOR, create()),
        poisonous := world.octets(OPERATOR, create("BROKEN")),
        world.octets(OPERATOR, create("CH-2027-02")),
    )
    assert [outcome.code for outcome in outcomes] == ["I99", DEFECT, "I99"]
    (item,) = await world.store.queries.quarantined(10)
    assert (item.octets, item.code, item.reason) == (poisonous, DEFECT, "ZeroDivisionError: a defect")
    assert Counter(await world.told()) == {(OPERATOR, "N911"): 2}


async def test_an_unavailable_store_changes_nothing_and_is_the_callers_to_retry(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chfw_sr.service import processor

    octets = world.octets(OPERATOR, create())

    async def down(*_, **__):
        raise Unavailable("the database went away")

    with monkeypatch.context() as patch:
        patch.setattr(processor, "dispatch", down)
        with pytest.raises(Unavailable):
            await world.process(octets)
    assert await world.store.queries.inbox(10) == []
    assert await world.store.queries.campaigns() == []
    (outcome,) = await world.process(octets)
    assert outcome.ending is Ending.DONE


async def test_a_request_never_meets_a_campaign_that_is_behind_the_clock(consulting: World) -> None:
    consulting.clock.set(START + 5 * DAY)
    outcome = await consulting.send(ALPHA, nominate(0))
    assert outcome.code == ResponseCode.E110602
    view = await consulting.store.queries.campaign(CAMPAIGN)
    assert view is not None
    assert view.campaign.stage == "PilotConfirmed"
    told = await consulting.told()
    assert told[-1] == (ALPHA, "N904")
    assert {(ALPHA, "N905"), (GASCO, "N905"), (ALPHA, "N906"), (OPERATOR, "N906")} <= set(told)


async def test_the_same_request_fifty_times_at_once_has_one_effect(world: World) -> None:
    request = world.request(OPERATOR, create())
    signed = [write_request(request, KEYS.signers[OPERATOR]) for _ in range(50)]
    outcomes = [one for many in await asyncio.gather(*(world.process(each) for each in signed)) for one in many]
    assert Counter(outcome.ending for outcome in outcomes) == {Ending.DONE: 1, Ending.REPEATED: 49}
    assert await world.told() == [(OPERATOR, "N911")]


async def test_nothing_is_looked_up_for_senders_who_may_not_ask(
    consulting: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[EUI] = set()
    async with consulting.store.begin() as work:
        unit = type(work)
    anticipate, facts = unit.anticipate, unit.facts

    async def noted_anticipation(self, needs):
        asked.update(eui for each in needs for eui in each.hubs)
        await anticipate(self, needs)

    async def noted_facts(self, needs):
        asked.update(needs.hubs)
        return await facts(self, needs)

    monkeypatch.setattr(unit, "anticipate", noted_anticipation)
    monkeypatch.setattr(unit, "facts", noted_facts)
    senders = ((NORTH, nominate(5)), (SUSPENDED, nominate(6)), (ALPHA, nominate(1)))
    outcomes = await consulting.process(*(consulting.octets(sender, body) for sender, body in senders))
    assert [each.code for each in outcomes] == ["E2", "E3", "I99"]
    assert asked == {hub_eui(1)}


async def test_two_processes_wait_for_each_other_in_one_direction_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RequestIDs are claimed all at once, and so are locks: else two batches could wait for one another."""
    steps: list[object] = []
    async with world.store.begin() as work:
        unit = type(work)
    claim, anticipate, facts = unit.claim, unit.anticipate, unit.facts

    async def noted_claim(self, claims):
        steps.append([each.request_id.counter for each in claims])
        return await claim(self, claims)

    async def noted_anticipation(self, needs):
        steps.append({each.campaign for each in needs})
        await anticipate(self, needs)

    async def noted_facts(self, needs):
        steps.append(needs.campaign)
        return await facts(self, needs)

    monkeypatch.setattr(unit, "claim", noted_claim)
    monkeypatch.setattr(unit, "anticipate", noted_anticipation)
    monkeypatch.setattr(unit, "facts", noted_facts)
    second, first = (world.octets(OPERATOR, create(CampaignID(name))) for name in ("B", "A"))
    outcomes = await world.process(second, second, first)
    assert [each for each in steps if each is not None][:4] == [[1, 2], {None}, {"A", "B"}, "B"]
    assert [1] in steps
    assert [each.ending for each in outcomes] == [Ending.DONE, Ending.REPEATED, Ending.DONE]


async def test_the_log_has_a_line_about_each_message(world: World, caplog) -> None:
    with caplog.at_level(logging.INFO, "chfw_sr.service.processor"):
        await world.send(OPERATOR, create())
        await world.process(b"nothing")
    done, quarantined = [each for each in caplog.records if each.name == "chfw_sr.service.processor"]
    assert (done.levelname, done.getMessage(), done.filename, done.funcName) == (
        "INFO",
        "request done",
        "processor.py",
        "_log",
    )
    assert (done.request_id, done.campaign_id, done.srv) == (f"{OPERATOR}:{DCC}:1", CAMPAIGN, "11.20")
    assert (done.code, done.alerts) == ("I99", 1)
    assert not hasattr(done, "reason")
    assert (quarantined.levelname, quarantined.code) == ("WARNING", "E900")
    assert not hasattr(quarantined, "request_id")


async def test_lines_that_nobody_wants_are_not_made(world: World, caplog) -> None:
    with caplog.at_level(logging.WARNING, "chfw_sr.service.processor"):
        await world.send(OPERATOR, create())
    assert caplog.records == []
