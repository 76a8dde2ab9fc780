"""A client sends, waits, and remembers, on both buses; the DCC is played by hand."""

import asyncio

import pytest

from chfw_sr.broker.names import responses_queue
from chfw_sr.client import AlertsWaiting, ClientStopped, Inbound, NotSubscribed, Reused, Unavailable
from chfw_sr.messages import (
    SRV,
    DeletePilotPreferences,
    PilotPreferencesDeleted,
    ReadPilotPlan,
    Rejected,
    RequestID,
    ResponseCode,
    ServiceRequest,
    ServiceRequestRejected,
    ServiceResponse,
)
from chfw_sr.messages.identifiers import CampaignID
from chfw_sr.service.ports import MessageKind
from chfw_sr.wire import Intake, Limits, Schemas, TrustStore, write_request, write_response

from .parts import (
    DCC,
    DCC_SIGNER,
    NOW,
    OTHER,
    SUPPLIER,
    SUPPLIER_CERTIFICATE,
    SUPPLIER_SIGNER,
    Desk,
    response_octets,
    transport_of,
)

INTAKE = Intake(Schemas.load(), Limits())

CAMPAIGN = CampaignID("C-1")
DELETE = DeletePilotPreferences(campaign_id=CAMPAIGN)
READ = ReadPilotPlan(campaign_id=CAMPAIGN)
NAMED = RequestID(originator=SUPPLIER, target=DCC, counter=7)


class Clerk:
    """Takes requests from the queue, as the DCC's consumer does."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._consumer = None

    async def next(self) -> bytes:
        """Take the next request."""
        if self._consumer is None:
            self._consumer = await self._desk.bus.consumer()
        (delivery,) = await self._consumer.receive(1, 0)
        await self._consumer.acknowledge([delivery])
        return delivery.octets

    async def answer(self, request_id: RequestID, code=ResponseCode.I99) -> bytes:
        """Answer a request."""
        octets = response_octets(request_id, code)
        await self._desk.put(octets, MessageKind.RESPONSE)
        return octets


@pytest.fixture
def clerk(desk: Desk) -> Clerk:
    return Clerk(desk)


def deleted(request_id: RequestID) -> PilotPreferencesDeleted:
    return PilotPreferencesDeleted(campaign_id=CAMPAIGN, request_id=request_id)


async def test_what_is_sent_is_signed_and_answered(desk: Desk, journal, clerk):
    async with desk.client(journal) as client:
        submission = await client.send(DELETE, first_in_sequence=True, preceding=NAMED)
        octets = await clerk.next()
        assert octets == submission.octets
        assert str(NAMED).encode() in octets
        await clerk.answer(submission.request_id)
        response = await submission.response()
        assert (response.request_id, response.code) == (submission.request_id, ResponseCode.I99)
        assert await client.unanswered() == []
    await desk.bus.take(responses_queue(SUPPLIER), 0)


async def test_the_outcome_alert_is_correlated_and_shown_to_the_subscription_too(desk: Desk, journal, clerk):
    async with desk.client(journal) as client, client.alerts() as alerts:
        submission = await client.send(DELETE)
        await clerk.next()
        await clerk.answer(submission.request_id)
        octets = await desk.alert(deleted(submission.request_id), 1)
        outcome = await submission.outcome()
        assert outcome.octets == octets
        assert outcome.body == deleted(submission.request_id)
        assert (await alerts.take(1))[0] == outcome


async def test_a_read_that_was_served_has_no_outcome_alert(desk: Desk, journal, clerk):
    async with desk.client(journal) as client:
        submission = await client.send(READ)
        await desk.put(_read_response(submission.request_id, ResponseCode.I0), MessageKind.RESPONSE)
        assert await submission.outcome() is None
        refused = await client.send(READ)
        await desk.put(_read_response(refused.request_id, ResponseCode.E110501), MessageKind.RESPONSE)
        with pytest.raises(NotSubscribed, match="alerts"):
            await refused.outcome()
        rejected = ServiceRequestRejected(
            request_id=refused.request_id, response_code=ResponseCode.E110501, reason="no such campaign"
        )
        await desk.alert(rejected, 1)
        async with client.alerts():
            assert (await refused.outcome()).body == rejected


def _read_response(request_id: RequestID, code: ResponseCode) -> bytes:
    return write_response(
        ServiceResponse(request_id=request_id, code=code, at=NOW, srv=SRV.READ_PILOT_PLAN), DCC_SIGNER
    )


async def test_after_a_restart_the_same_octets_are_sent_and_the_wait_goes_on(desk: Desk, journal, clerk):
    async with desk.client(journal) as client:
        submission = await client.send(DELETE)
        first = await clerk.next()
    async with desk.client(journal) as client:
        assert await clerk.next() == first
        (again,) = await client.unanswered()
        assert again.request_id == submission.request_id
        await clerk.answer(again.request_id)
        assert (await again.response()).code is ResponseCode.I99


async def test_what_came_before_a_restart_is_known_after_it(desk: Desk, journal, clerk):
    async with desk.client(journal) as client, client.alerts() as alerts:
        submission = await client.send(DELETE)
        await clerk.answer(submission.request_id)
        await desk.alert(deleted(submission.request_id), 1)
        outcome = await submission.outcome()
        await alerts.take(1)
    async with desk.client(journal) as client:
        again = await client.submission(submission.request_id)
        assert (await again.response()).code is ResponseCode.I99
        assert await again.outcome() == outcome
        assert await client.submission(NAMED) is None


async def test_a_request_without_a_response_is_sent_again(desk: Desk, journal, clerk):
    async with desk.client(journal, resend_seconds=0.01) as client:
        submission = await client.send(DELETE)
        assert await clerk.next() == await clerk.next() == submission.octets
        await clerk.answer(submission.request_id)
        await submission.response()


async def test_a_bus_that_is_away_is_waited_for(desk: Desk, journal, clerk):
    class Shaky:
        """Refuses the first attempts to send."""

        def __init__(self, transport) -> None:
            self._transport = transport
            self.refusals = 2

        async def send(self, octets, request_id, srv) -> None:
            if self.refusals:
                self.refusals -= 1
                raise Unavailable("away")
            await self._transport.send(octets, request_id, srv)

        def __getattr__(self, name):
            return getattr(self._transport, name)

    async with desk.client(journal, transport=Shaky(transport_of(desk.bus))) as client:
        submission = await client.send(DELETE)
        assert await clerk.next() == submission.octets


async def test_a_document_is_sent_as_it_is_or_signed(desk: Desk, journal, clerk):
    signed = write_request(ServiceRequest(request_id=NAMED, body=DELETE), SUPPLIER_SIGNER)
    unsigned = write_request(ServiceRequest(request_id=NAMED, body=DELETE), None)
    async with desk.client(journal) as client:
        submission = await client.submit(signed)
        assert (submission.request_id, submission.srv) == (NAMED, SRV.DELETE_PILOT_PREFERENCES)
        assert await clerk.next() == signed
        assert (await client.submit(unsigned)).octets == signed
        other = write_request(ServiceRequest(request_id=NAMED, body=READ), None)
        with pytest.raises(Reused, match="another counter"):
            await client.submit(other)
        following = NAMED.model_copy(update={"counter": 8})
        submission = await client.submit(write_request(ServiceRequest(request_id=following, body=READ), None))
        assert b"<ds:Signature " in submission.octets


async def test_a_document_may_be_given_the_next_counter(desk: Desk, journal, clerk):
    signed = write_request(ServiceRequest(request_id=NAMED, body=DELETE, first_in_sequence=True), SUPPLIER_SIGNER)
    async with desk.client(journal) as client:
        first, second = [await client.submit(signed, renumber=True) for _ in range(2)]
        await second.sent()
        assert second.request_id.counter == first.request_id.counter + 1 > NAMED.counter
        taken = [INTAKE(await clerk.next(), TrustStore.of(SUPPLIER_CERTIFICATE), NOW) for _ in range(2)]
    assert [each.outcome.request_id for each in taken] == [first.request_id, second.request_id]
    assert {each.outcome.body for each in taken} == {DELETE}
    assert taken[0].outcome.first_in_sequence


async def test_a_client_without_a_key_sends_what_is_signed(desk: Desk, journal, clerk):
    signed = write_request(ServiceRequest(request_id=NAMED, body=DELETE), SUPPLIER_SIGNER)
    async with desk.client(journal, signer=None) as client:
        with pytest.raises(ValueError, match="no key"):
            await client.send(DELETE)
        with pytest.raises(ValueError, match="no key"):
            await client.submit(signed, renumber=True)
        submission = await client.submit(signed)
        await submission.sent()
        assert await clerk.next() == signed
        await clerk.answer(NAMED)
        await submission.response()
        await submission.sent()


async def test_a_mere_subscriber_leaves_the_responses_to_others(desk: Desk, journal, clerk):
    await clerk.answer(NAMED)
    await desk.alerts([1])
    async with desk.client(journal, signer=None) as client, client.alerts() as alerts:
        await alerts.take(1)
    await desk.bus.take(responses_queue(SUPPLIER), 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"originator": OTHER}, "originator is"), ({"target": OTHER}, "target is")],
    ids=["another User", "another DCC"],
)
async def test_a_document_of_others_is_refused(desk: Desk, journal, changes, words):
    request = ServiceRequest(request_id=NAMED.model_copy(update=changes), body=READ)
    async with desk.client(journal) as client:
        with pytest.raises(ValueError, match=words):
            await client.submit(write_request(request, None))
        with pytest.raises(Rejected):
            await client.submit(b"<x/>")
        with pytest.raises(Rejected, match="sr:Response"):
            await client.submit(response_octets(NAMED))


async def test_responses_that_cannot_be_believed_are_set_aside(desk: Desk, journal, clerk):
    async with desk.client(journal) as client:
        submission = await client.send(DELETE)
        for octets in (
            response_octets(submission.request_id, signer=SUPPLIER_SIGNER),
            response_octets(NAMED),
            response_octets(RequestID(originator=OTHER, target=DCC, counter=1)),
        ):
            await desk.put(octets, MessageKind.RESPONSE)
        await clerk.answer(submission.request_id)
        await clerk.answer(submission.request_id, ResponseCode.E903)
        await submission.response()
        last = await client.send(DELETE)
        await clerk.answer(last.request_id)
        await last.response()
    reasons = [each.reason for each in journal.set_aside(Inbound.RESPONSES)]
    assert len(reasons) == 4
    for reason, words in zip(
        reasons, ["no trusted certificate", "not in this journal", "it is for", "another response already"], strict=True
    ):
        assert words in reason
    await desk.bus.take(responses_queue(SUPPLIER), 0)


async def test_a_response_that_was_set_aside_is_looked_at_again(desk: Desk, journal):
    octets = response_octets(NAMED)
    journal.put_aside(Inbound.RESPONSES, octets, "the certificate was missing")
    journal.record(NAMED, "11.7", b"x", b"d")
    async with desk.client(journal) as client:
        assert (await (await client.submission(NAMED)).received_response()).octets == octets
    assert journal.set_aside(Inbound.RESPONSES) == []


async def test_an_outcome_behind_more_alerts_than_are_read_ahead_is_no_deadlock(desk: Desk, journal, clerk):
    async with desk.client(journal) as client, client.alerts(ahead=2) as alerts:
        await desk.alerts([1, 2, 3])
        submission = await client.send(DELETE)
        await clerk.answer(submission.request_id)
        await desk.alert(deleted(submission.request_id), 4)
        await alerts.take(1)
        with pytest.raises(AlertsWaiting, match="2 alerts wait"):
            await submission.outcome()
        waiting = asyncio.create_task(submission.outcome())
        for _ in range(3):
            await alerts.take(1)
        assert (await waiting).id.counter == 4


async def test_closing_tells_who_waits(desk: Desk, journal):
    client = desk.client(journal)
    with pytest.raises(ClientStopped, match="async with"):
        await client.send(DELETE)
    async with client:
        submission = await client.send(DELETE)
        waiting = asyncio.create_task(submission.response())
        await asyncio.sleep(0)
    with pytest.raises(ClientStopped, match="closed"):
        await waiting
    with pytest.raises(ClientStopped, match="closed"):
        await submission.response()


async def test_a_defect_tells_who_waits(desk: Desk, journal, monkeypatch):
    async with desk.client(journal) as client:
        submission = await client.send(DELETE)

        async def fail(_) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(client, "_take_responses", fail)
        await desk.put(b"x", MessageKind.RESPONSE)
        with pytest.raises(ClientStopped, match="ZeroDivisionError"):
            await submission.response()
