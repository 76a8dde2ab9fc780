"""The contract of every store: leases, fencing, the beat, and how much waits."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from chfw_sr.messages import Stage
from chfw_sr.service.ports import OutboxStatus, Store, Unavailable

from .makers import AT, C1, C2, HOUR, campaign, create, mark, post, quarantined

SECOND = timedelta(seconds=1)


async def test_a_free_lease_is_granted_and_held(store: Store) -> None:
    lease = await store.lease("clock", "a", AT, 10)
    assert lease is not None
    assert (lease.name, lease.holder, lease.until) == ("clock", "a", AT + 10 * SECOND)
    assert await store.lease("clock", "b", AT + 9 * SECOND, 10) is None


async def test_its_holder_renews_it_under_the_same_fence(store: Store) -> None:
    first = await store.lease("clock", "a", AT, 10)
    again = await store.lease("clock", "a", AT + 9 * SECOND, 10)
    late = await store.lease("clock", "a", AT + HOUR, 10)
    assert first is not None
    assert again == replace(first, until=AT + 19 * SECOND)
    assert late == replace(first, until=AT + HOUR + 10 * SECOND)
    assert await store.lease("clock", "b", AT + HOUR, 10) is None


async def test_a_lease_that_ran_out_changes_hands_with_a_higher_fence(store: Store) -> None:
    first = await store.lease("clock", "a", AT, 10)
    second = await store.lease("clock", "b", AT + 10 * SECOND, 10)
    assert first is not None
    assert second is not None
    assert second.fence > first.fence
    assert await store.lease("clock", "a", AT + 11 * SECOND, 10) is None


async def test_leases_of_different_names_have_nothing_to_do_with_each_other(store: Store) -> None:
    assert await store.lease("clock", "a", AT, 10) is not None
    assert await store.lease("other", "b", AT, 10) is not None


async def test_one_of_many_gets_it(store: Store) -> None:
    granted = await asyncio.gather(*(store.lease("clock", f"p{number}", AT, 10) for number in range(8)))
    assert sum(lease is not None for lease in granted) == 1


async def test_a_lease_from_a_clock_that_is_far_ahead_does_not_block_the_others(store: Store) -> None:
    await store.lease("clock", "ahead", AT + HOUR, 10)
    taken = await store.lease("clock", "b", AT, 10)
    assert taken is not None
    assert taken.until == AT + 10 * SECOND


async def test_a_lease_from_a_clock_that_is_a_little_ahead_holds(store: Store) -> None:
    await store.lease("clock", "ahead", AT + 9 * SECOND, 10)
    assert await store.lease("clock", "b", AT, 10) is None


async def test_a_lease_given_back_is_free_at_once_and_its_fence_is_spent(store: Store) -> None:
    first = await store.lease("clock", "a", AT, 10)
    assert first is not None
    await store.release(first)
    async with store.begin() as work:
        with pytest.raises(Unavailable):
            await work.fence(first)
    second = await store.lease("clock", "b", AT + SECOND, 10)
    assert second is not None
    assert second.fence > first.fence


async def test_a_late_holder_cannot_give_back_what_is_another_s(store: Store) -> None:
    first = await store.lease("clock", "a", AT, 10)
    second = await store.lease("clock", "b", AT + HOUR, 10)
    assert first is not None
    assert second is not None
    await store.release(first)
    async with store.begin() as work:
        await work.fence(second)


async def test_the_fence_lets_its_holder_through_and_nobody_else(store: Store) -> None:
    first = await store.lease("clock", "a", AT, 10)
    assert first is not None
    async with store.begin() as work:
        await work.fence(first)
    await store.lease("clock", "b", AT + HOUR, 10)
    async with store.begin() as work:
        with pytest.raises(Unavailable, match="clock"):
            await work.fence(first)
    async with store.begin() as work:
        with pytest.raises(Unavailable):
            await work.fence(replace(first, name="unheard of"))


async def test_a_lease_cannot_change_hands_while_its_holder_is_at_work(store: Store) -> None:
    first = await store.lease("clock", "a", AT, 10)
    assert first is not None
    async with store.begin() as work:
        await work.fence(first)
        taking = asyncio.create_task(store.lease("clock", "b", AT + HOUR, 10))
        done, _ = await asyncio.wait({taking}, timeout=0.05)
        assert not done
        await work.commit()
    second = await taking
    assert second is not None
    assert second.fence > first.fence


async def test_the_first_beat_finds_none_before_it_and_each_finds_the_last(store: Store) -> None:
    found = []
    for at in (AT, AT + SECOND, AT + HOUR):
        async with store.begin() as work:
            found.append(await work.beat(at))
            await work.commit()
    assert found == [None, AT, AT + SECOND]


async def test_a_beat_that_is_not_committed_was_none(store: Store) -> None:
    async with store.begin() as work:
        await work.beat(AT)
        await work.commit()
    async with store.begin() as work:
        await work.beat(AT + HOUR)
    async with store.begin() as work:
        assert await work.beat(AT + HOUR) == AT


async def test_a_clock_that_is_behind_does_not_take_the_beat_back(store: Store) -> None:
    for at in (AT + HOUR, AT):
        async with store.begin() as work:
            await work.beat(at)
            await work.commit()
    async with store.begin() as work:
        assert await work.beat(AT) == AT + HOUR


async def test_of_many_that_beat_at_once_one_finds_the_gap(store: Store) -> None:
    async with store.begin() as work:
        await work.beat(AT)
        await work.commit()

    async def beat() -> bool:
        async with store.begin() as work:
            last = await work.beat(AT + HOUR)
            await work.commit()
            return last == AT

    assert sum(await asyncio.gather(*(beat() for _ in range(6)))) == 1


async def test_nothing_waits_in_an_empty_store(store: Store) -> None:
    depths = await store.queries.depths()
    assert (depths.outbox, depths.oldest, depths.quarantined) == (0, None, 0)
    assert not any(depths.campaigns.values())


async def test_what_waits_is_counted(store: Store) -> None:
    await create(store, campaign(C1), campaign(C2, stage=Stage.PILOT_COMPLETE))
    (first, *_) = await post(store, 1, created_at=AT)
    await post(store, 3, created_at=AT + HOUR)
    async with store.begin() as work:
        await work.quarantine([quarantined(), quarantined(), quarantined()])
        await work.commit()
    await store.mark_replayed((await store.queries.quarantined(1))[0].id, AT)

    before = await store.queries.depths()
    await store.outbox.claim("t", 2, AT, 60)
    claimed = await store.queries.depths()
    await mark(store, "t", [first], OutboxStatus.PUBLISHED, AT)
    after = await store.queries.depths()

    assert (before.outbox, before.oldest, before.quarantined) == (4, AT, 2)
    assert before.campaigns == {Stage.DRAFT: 1, Stage.PILOT_COMPLETE: 1}
    assert (claimed.outbox, claimed.oldest) == (4, AT), "what is claimed is not published yet"
    assert (after.outbox, after.oldest) == (3, AT + HOUR)
