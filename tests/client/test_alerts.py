"""A subscription, on both buses: verified, without repeats, acknowledged after the caller's code, resumed."""

import asyncio

import pytest

from chfw_sr.broker.names import alerts_queue
from chfw_sr.client import ClientStopped, ContradictoryAlert, Inbound, Journal, trust_in
from chfw_sr.messages import AlertCode, CampaignStageChanged, Stage
from chfw_sr.messages.identifiers import CampaignID
from tests.contract.buses import RabbitUnderTest

from .parts import (
    DAY,
    DCC,
    DCC_CERTIFICATE,
    DCC_SIGNER,
    NOW,
    OTHER,
    SUPPLIER,
    SUPPLIER_SIGNER,
    Desk,
    activation,
    alert_octets,
    party,
)

STAGE = CampaignStageChanged(campaign_id=CampaignID("C-1"), previous=Stage.DRAFT, stage=Stage.PILOT_CONSULTATION)


async def read(desk: Desk, journal: Journal, count: int, **changes) -> list:
    """Open a client and a subscription, take so many alerts one by one, and leave well."""
    found = []
    async with desk.client(journal, **changes) as client, client.alerts() as alerts:
        async for alert in alerts:
            found.append(alert)
            if len(found) == count:
                break
    return found


async def left(desk: Desk, count: int) -> None:
    """Make sure that so many lie in the queue."""
    await desk.bus.take(alerts_queue(SUPPLIER), count)


async def test_alerts_come_in_order_and_are_gone_once_done(desk: Desk, journal):
    await desk.alerts(range(1, 4))
    octets = await desk.alert(STAGE, 4)
    found = await read(desk, journal, 4)
    assert [each.id.counter for each in found] == [1, 2, 3, 4]
    assert [each.body for each in found] == [activation(1), activation(2), activation(3), STAGE]
    assert (found[3].code, found[3].campaign_id, found[3].octets) == (AlertCode.N906, "C-1", octets)
    assert (found[0].campaign_id, found[0].request_id) == (None, None)
    await left(desk, 0)


async def test_what_the_caller_was_not_done_with_comes_again(desk: Desk, journal):
    await desk.alerts(range(1, 4))

    async def fail_at_the_second() -> None:
        async with desk.client(journal) as client, client.alerts() as alerts:
            async for alert in alerts:
                if alert.id.counter == 2:
                    raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_at_the_second()
    assert [each.id.counter for each in await read(desk, journal, 2)] == [2, 3]
    await left(desk, 0)


async def test_a_cancelled_caller_was_not_done(desk: Desk, journal):
    await desk.alerts([1])
    taken = asyncio.Event()

    async def take() -> None:
        async with desk.client(journal) as client, client.alerts() as alerts:
            async for _ in alerts:
                taken.set()
                await asyncio.Event().wait()

    task = asyncio.create_task(take())
    await taken.wait()
    task.cancel()
    await asyncio.wait({task})
    assert [each.id.counter for each in await read(desk, journal, 1)] == [1]


async def test_repeats_are_dropped_within_a_run_and_across_runs(desk: Desk, journal):
    octets = await desk.alert(activation(1), 1)
    await desk.put(octets)
    await desk.alert(activation(2), 2)
    assert [each.id.counter for each in await read(desk, journal, 2)] == [1, 2]
    await desk.put(octets)
    await desk.alert(activation(3), 3)
    assert [each.id.counter for each in await read(desk, journal, 1)] == [3]
    await left(desk, 0)


async def test_batches_are_done_as_a_whole_and_repeats_within_one_are_dropped(desk: Desk, journal):
    octets = await desk.alert(activation(1), 1)
    await desk.put(octets)
    await desk.alerts([2, 3])
    seen = []
    async with desk.client(journal) as client, client.alerts() as alerts:
        async for batch in alerts.batches(3):
            seen += [each.id.counter for each in batch]
            if len(seen) == 3:
                break
    assert seen == [1, 2, 3]
    await left(desk, 0)


@pytest.mark.parametrize("again", [False, True], ids=["in one run", "across runs"])
async def test_one_id_with_two_contents_is_loud_and_holds_nothing_up(desk: Desk, journal, again):
    await desk.alert(activation(1), 1)
    if again:
        await read(desk, journal, 1)
    other = await desk.alert(activation(99), 1)
    await desk.alert(activation(2), 2)
    seen = []
    async with desk.client(journal) as client, client.alerts() as alerts:

        async def go_on() -> None:
            while True:
                seen.extend(each.id.counter for each in await alerts.take(1))

        with pytest.raises(ContradictoryAlert, match="other octets") as caught:
            await go_on()
        assert caught.value.octets == other
        seen += [each.id.counter for each in await alerts.take(1)]
    assert seen == ([2] if again else [1, 2])
    (aside,) = journal.set_aside(Inbound.ALERTS)
    assert aside.octets == other
    await left(desk, 0)


async def test_a_contradiction_within_a_batch_shows_the_others(desk: Desk, journal):
    await desk.alert(activation(1), 1)
    await desk.alert(activation(99), 1)
    await desk.alert(activation(2), 2)
    async with desk.client(journal) as client, client.alerts() as alerts:
        seen, contradictions = [], 0
        while len(seen) < 2:
            try:
                seen += [each.id.counter for each in await alerts.take(10)]
            except ContradictoryAlert:
                contradictions += 1
    assert (seen, contradictions) == ([1, 2], 1)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"no XML", "not well-formed"),
        (alert_octets(activation(9), 9, signer=SUPPLIER_SIGNER), "no trusted certificate"),
        (alert_octets(activation(9), 9).replace(b"02.00", b"03.00"), "changed after it was signed"),
        (alert_octets(activation(9), 9, recipient=OTHER), f"it is for {OTHER}"),
        (alert_octets(activation(9), 9, dcc=OTHER), "not of the originator"),
    ],
    ids=["no XML", "not the DCC's", "changed", "another's", "another DCC"],
)
async def test_what_cannot_be_believed_is_set_aside_and_holds_nothing_up(desk: Desk, journal, octets, reason):
    await desk.put(octets)
    await desk.alerts([1])
    assert [each.id.counter for each in await read(desk, journal, 1)] == [1]
    (aside,) = journal.set_aside(Inbound.ALERTS)
    assert aside.octets == octets
    assert reason in aside.reason
    await left(desk, 0)


async def test_both_of_the_dccs_certificates_are_believed_while_they_overlap(desk: Desk, journal):
    renewed, signer = party(DCC)
    await desk.put(alert_octets(activation(1), 1, signer=DCC_SIGNER))
    await desk.put(alert_octets(activation(2), 2, signer=signer))
    both = trust_in(DCC, [DCC_CERTIFICATE, renewed])
    assert [each.id.counter for each in await read(desk, journal, 2, trust=both)] == [1, 2]
    assert journal.set_aside(Inbound.ALERTS) == []


async def test_what_was_set_aside_is_shown_once_its_certificate_is_there(desk: Desk, journal):
    renewed, signer = party(DCC)
    await desk.put(alert_octets(activation(1), 1, signer=signer))
    await desk.alerts([2])
    assert [each.id.counter for each in await read(desk, journal, 1)] == [2]
    found = await read(desk, journal, 1, trust=trust_in(DCC, [DCC_CERTIFICATE, renewed]))
    assert [each.id.counter for each in found] == [1]
    assert journal.set_aside(Inbound.ALERTS) == []


async def test_an_expired_certificate_is_not_believed(desk: Desk, journal):
    old, signer = party(DCC, NOW - 20 * DAY, NOW - DAY)
    await desk.put(alert_octets(activation(1), 1, signer=signer))
    await desk.alerts([2])
    found = await read(desk, journal, 1, trust=trust_in(DCC, [DCC_CERTIFICATE, old]))
    assert [each.id.counter for each in found] == [2]
    assert "expired" in journal.set_aside(Inbound.ALERTS)[0].reason


async def test_one_subscription_at_a_time(desk: Desk, journal):
    async with desk.client(journal) as client:
        async with client.alerts():
            with pytest.raises(RuntimeError, match="already"):
                async with client.alerts():
                    pass
        async with client.alerts():
            pass
        with pytest.raises(ClientStopped, match="async with"):
            await client.alerts().take(1)


async def test_a_defect_of_the_reading_is_told_to_the_caller(desk: Desk, journal, monkeypatch):
    await desk.alerts([1])
    async with desk.client(journal) as client:

        async def fail(_) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(client, "notice_outcome", fail)
        async with client.alerts() as alerts:
            with pytest.raises(ClientStopped) as caught:
                await alerts.take(1)
            assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_rabbitmq_a_lost_connection_costs_nothing(desk: Desk, journal):
    if not isinstance(desk.bus, RabbitUnderTest):
        pytest.skip("RabbitMQ's own")
    await desk.alerts(range(1, 6))
    async with desk.client(journal) as client, client.alerts() as alerts:
        seen = [(await alerts.take(1))[0].id.counter]
        alerts._source._link._call.cut()
        while len(seen) < 5:
            seen += [each.id.counter for each in await alerts.take(1)]
        await desk.alerts([6])
        seen += [each.id.counter for each in await alerts.take(1)]
    assert seen == [1, 2, 3, 4, 5, 6]
    await left(desk, 0)
