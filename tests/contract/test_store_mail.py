"""E-mail in the outbox: lanes of its own, that wait for company; and who has an address. Of all stores alike."""

from datetime import timedelta

from chfw_sr.service.ports import (
    Channels,
    Contact,
    MessageKind,
    OutboxStatus,
    Patience,
    Store,
    UserRecord,
)

from .makers import ALICE, AT, BOB, HOUR, mark, post, user

LEASE = 60.0
MINUTE = timedelta(minutes=1)
EMAIL = MessageKind.EMAIL
ALICE_READS = Contact(Channels.BOTH, "ops@alice.example")


async def claim(store: Store, token: str, *, now=AT, wait=15 * MINUTE, number=5, limit=100) -> list[int]:
    mail = Patience(frozenset({"N64", "N908"}), now - wait, number)
    return [one.id for one in await store.outbox.claim(token, limit, now, LEASE, mail=mail)]


async def to_bus(store: Store, token: str) -> list[int]:
    return [one.id for one in await store.outbox.claim(token, 100, AT, LEASE)]


async def test_mail_and_bus_are_claimed_apart(store: Store) -> None:
    alerts = await post(store, 1)
    mails = await post(store, 1, kind=EMAIL, type="N906")
    others = await post(store, 1, kind=MessageKind.RESPONSE, type="11.6")
    assert await claim(store, "mail") == mails
    assert await to_bus(store, "bus") == [*alerts, *others]
    assert [entry.status for entry in await store.queries.outbox(None, 9)] == [OutboxStatus.CLAIMED] * 3


async def test_the_relay_of_the_bus_never_gets_mail(store: Store) -> None:
    await post(store, 3, kind=EMAIL, type="N906")
    assert await to_bus(store, "bus") == []


async def test_young_activations_wait_for_company(store: Store) -> None:
    ids = await post(store, 4, kind=EMAIL)
    assert await claim(store, "young", now=AT + 14 * MINUTE) == []
    assert await claim(store, "old", now=AT + 15 * MINUTE) == ids


async def test_enough_activations_wait_no_longer(store: Store) -> None:
    ids = await post(store, 4, kind=EMAIL)
    assert await claim(store, "few") == []
    ids += await post(store, 1, kind=EMAIL, type="N908")
    assert await claim(store, "enough") == ids


async def test_any_other_alert_takes_the_activations_before_it_along(store: Store) -> None:
    ids = await post(store, 2, kind=EMAIL)
    ids += await post(store, 1, kind=EMAIL, type="N906")
    assert await claim(store, "due") == ids


async def test_a_lane_that_waits_does_not_hold_up_another(store: Store) -> None:
    await post(store, 2, kind=EMAIL)
    theirs = await post(store, 1, kind=EMAIL, type="N906", recipient=BOB)
    assert await claim(store, "due") == theirs


async def test_a_lane_of_mail_belongs_to_one_claim_at_a_time(store: Store) -> None:
    ids = await post(store, 2, kind=EMAIL, type="N906")
    assert await claim(store, "one", limit=1) == ids[:1]
    assert await claim(store, "two") == []
    assert await mark(store, "two", ids, OutboxStatus.PUBLISHED, AT) == 0, "fenced"
    assert await mark(store, "one", ids[:1], OutboxStatus.PUBLISHED, AT) == 1
    assert await claim(store, "three") == ids[1:]
    assert await claim(store, "four", now=AT + HOUR) == ids[1:], "the lease ran out"


async def test_a_lane_that_was_refused_rests(store: Store) -> None:
    ids = await post(store, 1, kind=EMAIL, type="N906")
    await claim(store, "one")
    await mark(store, "one", ids, OutboxStatus.READY, AT, rest_seconds=60)
    assert await claim(store, "two", now=AT + 0.9 * MINUTE) == []
    assert await claim(store, "three", now=AT + MINUTE) == ids
    (entry,) = await store.queries.outbox(None, 9)
    assert entry.attempts == 2


async def test_lanes_of_mail_take_turns(store: Store) -> None:
    first = await post(store, 2, kind=EMAIL, type="N906")
    second = await post(store, 2, kind=EMAIL, type="N906", recipient=BOB)
    served = []
    for number in range(4):
        some = await claim(store, f"t{number}", limit=1)
        await mark(store, f"t{number}", some, OutboxStatus.PUBLISHED, AT)
        served += some
    assert served == [first[0], second[0], first[1], second[1]]


async def test_depths_tell_mail_and_bus_apart(store: Store) -> None:
    assert (await store.queries.depths()).emails == 0
    await post(store, 2, kind=EMAIL)
    await post(store, 3, created_at=AT + HOUR)
    depths = await store.queries.depths()
    assert (depths.outbox, depths.oldest, depths.emails, depths.oldest_email) == (3, AT + HOUR, 2, AT)


async def test_contacts_are_kept_and_replaced(store: Store) -> None:
    unused = Contact(Channels.AMQP, "old@bob.example")
    await store.register.save_users([UserRecord(user(ALICE), (), ALICE_READS), UserRecord(user(BOB), (), unused)], AT)
    assert await store.register.contacts() == {ALICE: ALICE_READS, BOB: unused}
    assert [record.contact for record in await store.register.users()] == [ALICE_READS, unused]

    await store.register.save_users([UserRecord(user(ALICE))], AT)
    assert await store.register.contacts() == {BOB: unused}


async def test_the_revision_changes_whenever_a_contact_does(store: Store) -> None:
    seen = [await store.register.trust_revision()]
    for contact in (ALICE_READS, ALICE_READS, Contact(Channels.EMAIL, "ops@alice.example"), Contact()):
        await store.register.save_users([UserRecord(user(ALICE), (), contact)], AT)
        seen.append(await store.register.trust_revision())
    assert len(set(seen)) == 4
    assert seen[1] == seen[2], "saved again as it was"
