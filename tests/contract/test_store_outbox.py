"""The contract of every store: the outbox, its leases and its fencing; the quarantine."""

import asyncio

import pytest

from chfw_sr.service.ports import MessageKind, OutboxEntry, OutboxStatus, Store

from .makers import ALICE, AT, BOB, HOUR, mark, message, post, quarantined

LEASE = 60.0
LATER = AT + HOUR


async def claim_ids(store: Store, token: str, limit: int = 100, *, now=AT) -> list[int]:
    return [one.id for one in await store.outbox.claim(token, limit, now, LEASE)]


async def entries(store: Store) -> list[OutboxEntry]:
    return list(await store.queries.outbox(None, 100))


async def test_a_message_comes_out_as_it_went_in(store: Store) -> None:
    async with store.begin() as work:
        first = await work.reserve(2)
        put = [
            message(first, headers={"x-chfw-code": "I99", "é": "ü"}, correlation_id="c", octets=b"\x00\xff"),
            message(first + 1, kind=MessageKind.REPLY, recipient="amq.gen-1", type="11.6"),
        ]
        await work.enqueue(put)
        await work.commit()

    assert list(await store.outbox.claim("t", 10, AT, LEASE)) == put
    assert [entry.message for entry in await entries(store)] == put


async def test_claims_are_in_order_of_id_and_limited(store: Store) -> None:
    ids = await post(store, 5)
    assert await claim_ids(store, "one", 2) == ids[:2]
    await mark(store, "one", ids[:2], OutboxStatus.PUBLISHED, AT)
    assert await claim_ids(store, "two", 9) == ids[2:]
    assert await claim_ids(store, "three") == []


async def test_a_recipient_belongs_to_one_claim_at_a_time(store: Store) -> None:
    ids = await post(store, 3)
    others = await post(store, 2, recipient=BOB)
    assert await claim_ids(store, "one", 1) == ids[:1]
    assert await claim_ids(store, "two") == others, "not what comes after a message that is not published yet"
    await mark(store, "one", ids[:1], OutboxStatus.PUBLISHED, AT)
    assert await claim_ids(store, "three") == ids[1:]


async def test_what_was_not_published_holds_back_what_comes_after(store: Store) -> None:
    ids = await post(store, 3)
    await claim_ids(store, "one")
    await mark(store, "one", ids[1:2], OutboxStatus.PUBLISHED, AT)
    later = await post(store, 1)
    assert await claim_ids(store, "two") == []
    assert await claim_ids(store, "two", now=LATER) == [ids[0], ids[2], *later]


async def test_alerts_responses_and_replies_of_one_user_travel_apart(store: Store) -> None:
    await post(store, 1)
    await claim_ids(store, "one")
    apart = [
        *await post(store, 1, kind=MessageKind.RESPONSE),
        *await post(store, 1, kind=MessageKind.REPLY),
        *await post(store, 1, kind=MessageKind.QUARANTINE, recipient=""),
    ]
    assert sorted(await claim_ids(store, "two")) == apart


async def test_a_recipient_with_a_backlog_does_not_hold_up_the_others(store: Store) -> None:
    hot = await post(store, 50)
    waited = await post(store, 1, recipient=BOB)
    first = await claim_ids(store, "one", 10)
    assert first == hot[:10]
    await mark(store, "one", first, OutboxStatus.PUBLISHED, AT)
    assert await claim_ids(store, "two", 10, now=AT) == waited
    assert await claim_ids(store, "three", 10, now=AT) == hot[10:20]


async def test_lanes_take_turns(store: Store) -> None:
    """However much each has, and wherever the last claim was cut."""
    recipients = [f"{ALICE[:-2]}{number:02X}" for number in range(3)]
    posted = [await post(store, 4, recipient=recipient) for recipient in recipients]
    served = []
    for number in range(6):
        some = await claim_ids(store, f"t{number}", 2)
        await mark(store, f"t{number}", some, OutboxStatus.PUBLISHED, AT)
        served.append(some)
    assert served == [ids[start : start + 2] for start in (0, 2) for ids in posted]


async def test_a_claim_takes_as_many_lanes_as_it_takes_to_fill_it(store: Store) -> None:
    posted = [await post(store, 3, recipient=f"{ALICE[:-2]}{number:02X}") for number in range(4)]
    first, second, third, fourth = posted
    assert await claim_ids(store, "one", 7) == [*first, *second, third[0]]
    assert await claim_ids(store, "two", 7) == fourth, "the third lane is the first claim's, to its last message"


async def test_a_claim_gives_lane_after_lane_each_in_order_of_id(store: Store) -> None:
    async with store.begin() as work:
        first = await work.reserve(6)
        whose = [BOB, ALICE, BOB, ALICE, ALICE, BOB]
        await work.enqueue([message(first + place, recipient=recipient) for place, recipient in enumerate(whose)])
        await work.commit()
    assert await claim_ids(store, "t") == [first + place for place in (1, 3, 4, 0, 2, 5)]


async def test_a_message_that_commits_late_is_not_passed_over(store: Store) -> None:
    async with store.begin() as work:
        first = await work.reserve(2)
        await work.commit()
    for number in (first + 1, first):
        async with store.begin() as work:
            await work.enqueue([message(number)])
            await work.commit()
        assert await claim_ids(store, f"t{number}") == [number]
        await mark(store, f"t{number}", [number], OutboxStatus.PUBLISHED, AT)


async def test_uncommitted_messages_are_not_claimed(store: Store) -> None:
    async with store.begin() as work:
        first = await work.reserve(1)
        await work.enqueue([message(first)])
    assert await claim_ids(store, "t") == []
    assert await entries(store) == []


async def test_published_messages_never_come_again(store: Store) -> None:
    ids = await post(store, 2)
    await claim_ids(store, "t")
    assert await mark(store, "t", ids, OutboxStatus.PUBLISHED, LATER) == 2

    assert await claim_ids(store, "u", now=LATER + HOUR) == []
    assert [(e.status, e.attempts, e.published_at) for e in await entries(store)] == [
        (OutboxStatus.PUBLISHED, 1, LATER)
    ] * 2


async def test_unroutable_messages_never_come_again(store: Store) -> None:
    ids = await post(store, 1)
    await claim_ids(store, "t")
    assert await mark(store, "t", ids, OutboxStatus.UNROUTABLE, LATER) == 1
    assert await claim_ids(store, "u", now=LATER + HOUR) == []
    assert [e.status for e in await entries(store)] == [OutboxStatus.UNROUTABLE]


async def test_messages_given_back_are_ready_at_once(store: Store) -> None:
    ids = await post(store, 2)
    await claim_ids(store, "t")
    assert await mark(store, "t", ids[:1], OutboxStatus.READY, AT) == 1
    assert [e.status for e in await entries(store)] == [OutboxStatus.READY] * 2, "with it the rest of its lane"
    assert await mark(store, "t", ids[1:], OutboxStatus.PUBLISHED, AT) == 0

    assert await claim_ids(store, "u") == ids
    assert [e.attempts for e in await entries(store)] == [2, 1]


async def test_what_was_published_of_a_lane_is_marked_before_the_rest_is_given_back(store: Store) -> None:
    ids = await post(store, 2)
    await claim_ids(store, "t")
    assert await mark(store, "t", ids[:1], OutboxStatus.PUBLISHED, AT) == 1
    assert await mark(store, "t", ids[1:], OutboxStatus.READY, AT) == 1
    assert await claim_ids(store, "u") == ids[1:]
    assert [(e.status, e.attempts) for e in await entries(store)] == [
        (OutboxStatus.PUBLISHED, 1),
        (OutboxStatus.CLAIMED, 2),
    ]


async def test_a_lane_can_rest_after_a_message_was_given_back(store: Store) -> None:
    ids = await post(store, 3)
    others = await post(store, 1, recipient=BOB)
    await claim_ids(store, "t")
    await mark(store, "t", [ids[0], *others], OutboxStatus.PUBLISHED, AT, rest_seconds=LEASE)
    assert await mark(store, "t", ids[1:], OutboxStatus.READY, AT, rest_seconds=LEASE) == 2
    others = await post(store, 1, recipient=BOB)
    assert await claim_ids(store, "u") == others
    await mark(store, "u", others, OutboxStatus.PUBLISHED, AT)
    assert await claim_ids(store, "v", now=AT + HOUR / 60) == ids[1:]


async def test_a_lease_that_ran_out_is_taken_over(store: Store) -> None:
    ids = await post(store, 2)
    await claim_ids(store, "late")
    assert await claim_ids(store, "next", now=AT + HOUR / 120) == []
    assert await claim_ids(store, "next", now=LATER) == ids


async def test_a_lease_by_a_clock_that_was_ahead_is_taken_over(store: Store) -> None:
    ids = await post(store, 2)
    assert await claim_ids(store, "ahead", now=AT + HOUR) == ids
    assert await claim_ids(store, "right", now=AT) == ids
    assert await mark(store, "ahead", ids, OutboxStatus.PUBLISHED, AT) == 0


async def test_a_late_relay_cannot_mark_what_was_taken_over(store: Store) -> None:
    ids = await post(store, 3)
    await claim_ids(store, "late")
    await claim_ids(store, "next", 2, now=LATER)

    for status in (OutboxStatus.PUBLISHED, OutboxStatus.UNROUTABLE, OutboxStatus.READY):
        assert await mark(store, "late", ids[:2], status, LATER) == 0
    assert [(e.status, e.attempts) for e in await entries(store)] == [
        (OutboxStatus.CLAIMED, 2),
        (OutboxStatus.CLAIMED, 2),
        (OutboxStatus.READY, 1),
    ]
    # The third was not claimed again, but its lane was.
    assert await mark(store, "late", ids, OutboxStatus.PUBLISHED, LATER) == 0
    assert await mark(store, "next", ids, OutboxStatus.PUBLISHED, LATER) == 2


async def test_a_lane_is_free_once_its_claim_is_marked_whatever_came_meanwhile(store: Store) -> None:
    """A message with a lower id may commit late; nobody has claimed it."""
    async with store.begin() as work:
        late = await work.reserve(1)
        await work.commit()
    ids = await post(store, 2)
    await claim_ids(store, "t")
    async with store.begin() as work:
        await work.enqueue([message(late)])
        await work.commit()
    assert await mark(store, "t", ids, OutboxStatus.PUBLISHED, AT) == 2
    assert await claim_ids(store, "u") == [late]


async def test_more_is_claimed_of_a_lane_while_the_rest_of_it_waits(store: Store) -> None:
    ids = await post(store, 5)
    for start in (0, 2, 4):
        token = f"t{start}"
        assert await claim_ids(store, token, 2) == ids[start : start + 2]
        for number in ids[start : start + 2]:
            assert await mark(store, token, [number], OutboxStatus.PUBLISHED, AT) == 1


async def test_only_what_is_claimed_can_be_marked(store: Store) -> None:
    ids = await post(store, 1)
    assert await mark(store, "t", ids, OutboxStatus.PUBLISHED, AT) == 0
    assert await mark(store, "t", [], OutboxStatus.PUBLISHED, AT) == 0
    await claim_ids(store, "t")
    await mark(store, "t", ids, OutboxStatus.PUBLISHED, AT)
    assert await mark(store, "t", ids, OutboxStatus.READY, AT) == 0


async def test_racing_relays_never_claim_the_same_message(store: Store) -> None:
    posted = [await post(store, 4, recipient=f"{ALICE[:-2]}{number:02X}") for number in range(40)]

    async def relay(token: str) -> list[int]:
        taken: list[int] = []
        while some := await claim_ids(store, token, 10):
            await mark(store, token, some, OutboxStatus.PUBLISHED, AT)
            taken += some
        return taken

    batches = await asyncio.gather(*(relay(f"relay{number}") for number in range(4)))
    claimed = [one for batch in (*batches, await relay("last")) for one in batch]
    assert sorted(claimed) == [one for ids in posted for one in ids]


async def test_the_purge_deletes_finished_messages_alone(store: Store) -> None:
    ids = await post(store, 5)
    await claim_ids(store, "t", 4)
    await mark(store, "t", ids[:1], OutboxStatus.PUBLISHED, AT)
    await mark(store, "t", ids[1:2], OutboxStatus.UNROUTABLE, AT)
    await mark(store, "t", ids[2:3], OutboxStatus.PUBLISHED, LATER)

    assert await store.outbox.purge(LATER, 10) == 2
    assert [e.message.id for e in await entries(store)] == ids[2:]
    assert await store.outbox.purge(LATER, 10) == 0


async def test_the_purge_is_limited(store: Store) -> None:
    ids = await post(store, 3)
    await claim_ids(store, "t")
    await mark(store, "t", ids, OutboxStatus.PUBLISHED, AT)
    assert [await store.outbox.purge(LATER, 2) for _ in range(3)] == [2, 1, 0]


async def test_the_outbox_is_shown_by_status_oldest_first(store: Store) -> None:
    ids = await post(store, 4)
    await claim_ids(store, "t", 2)
    await mark(store, "t", ids[:1], OutboxStatus.PUBLISHED, AT)

    async def shown(status: OutboxStatus | None, limit: int) -> list[int]:
        return [entry.message.id for entry in await store.queries.outbox(status, limit)]

    assert await shown(None, 3) == ids[:3]
    assert await shown(OutboxStatus.READY, 1) == ids[2:3]
    assert await shown(OutboxStatus.CLAIMED, 9) == ids[1:2]
    assert await shown(OutboxStatus.PUBLISHED, 9) == ids[:1]
    assert await shown(OutboxStatus.UNROUTABLE, 9) == []


async def test_finished_messages_are_shown_in_order_of_id_in_whatever_order_they_were_finished(store: Store) -> None:
    ids = await post(store, 3)
    others = await post(store, 2, recipient=BOB)
    await claim_ids(store, "t")
    for some in (others, ids[:1], ids[2:], ids[1:2]):
        assert await mark(store, "t", some, OutboxStatus.PUBLISHED, AT) == len(some)
    shown = [[each.message.id for each in await store.queries.outbox(None, limit)] for limit in (2, 4, 9)]
    assert shown == [ids[:2], [*ids, others[0]], [*ids, *others]]


async def test_what_was_finished_together_may_have_had_different_attempts(store: Store) -> None:
    ids = await post(store, 1)
    await claim_ids(store, "early")
    await mark(store, "early", ids, OutboxStatus.READY, AT)
    ids += await post(store, 1)
    await claim_ids(store, "late")
    assert await mark(store, "late", ids, OutboxStatus.PUBLISHED, AT) == 2
    assert [each.attempts for each in await entries(store)] == [2, 1]


# ------------------------------------------------------------------------------------------------------------------ ids


async def test_reserved_ids_follow_each_other_and_are_never_given_twice(store: Store) -> None:
    taken: list[int] = []
    for count in (1, 3, 70_000, 1, 2):
        async with store.begin() as work:
            first = await work.reserve(count)
            again = await work.reserve(1)
            await work.commit()
        taken += [*range(first, first + count), again]
    assert len(set(taken)) == len(taken)
    assert min(taken) > 0


async def test_ids_grow_within_a_unit_of_work(store: Store) -> None:
    async with store.begin() as work:
        firsts = [await work.reserve(2) for _ in range(5)]
    assert firsts == sorted(firsts)


async def test_a_rollback_between_does_not_lead_to_one_id_twice(store: Store) -> None:
    ids = await post(store, 2)
    async with store.begin() as work:
        await work.enqueue([message(await work.reserve(1))])
    ids += await post(store, 2, recipient=BOB)
    assert [(e.message.id, e.message.recipient) for e in await entries(store)] == [
        (ids[0], ALICE),
        (ids[1], ALICE),
        (ids[2], BOB),
        (ids[3], BOB),
    ]


async def test_racing_writers_reserve_different_ids(store: Store) -> None:
    reserved = await asyncio.gather(*(post(store, 7) for _ in range(6)))
    ids = [one for each in reserved for one in each]
    assert len(set(ids)) == 42
    assert [e.message.id for e in await entries(store)] == sorted(ids)


# ----------------------------------------------------------------------------------------------------------- quarantine


async def test_quarantined_input_is_kept_untouched(store: Store) -> None:
    items = [
        quarantined(reply_to="q", correlation_id="c", source="a.xml"),
        quarantined(b"", code="DEFECT", reason="KeyError: 1"),
    ]
    async with store.begin() as work:
        await work.quarantine(items)
        await work.quarantine([])
        await work.commit()

    second, first = await store.queries.quarantined(10)

    for stored, item in zip((first, second), items, strict=True):
        assert stored == item.__class__(**{name: getattr(item, name) for name in item.__slots__} | {"id": stored.id})
        assert await store.queries.quarantined_item(stored.id) == stored
    assert 0 < first.id < second.id


async def test_quarantine_is_shown_newest_first(store: Store) -> None:
    for number in range(4):
        async with store.begin() as work:
            await work.quarantine([quarantined(b"%d" % number, received_at=AT + number * HOUR)])
            await work.commit()
    assert [item.octets for item in await store.queries.quarantined(3)] == [b"3", b"2", b"1"]


async def test_a_rollback_quarantines_nothing(store: Store) -> None:
    async with store.begin() as work:
        await work.quarantine([quarantined()])
    assert list(await store.queries.quarantined(10)) == []


async def test_a_replay_is_noted(store: Store) -> None:
    async with store.begin() as work:
        await work.quarantine([quarantined(), quarantined()])
        await work.commit()
    second, first = await store.queries.quarantined(10)
    await store.mark_replayed(second.id, LATER)

    assert [item.replayed_at for item in await store.queries.quarantined(10)] == [LATER, None]
    assert await store.queries.quarantined_item(first.id) == first


async def test_there_is_no_unknown_quarantined_item(store: Store) -> None:
    assert await store.queries.quarantined_item(17) is None


@pytest.mark.parametrize("limit", [0, 1])
async def test_limits_of_nothing(store: Store, limit: int) -> None:
    assert list(await store.outbox.claim("t", limit, AT, LEASE)) == []
    assert await store.outbox.purge(AT, limit) == 0
