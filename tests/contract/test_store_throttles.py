"""What is remembered of Users that are refused by their quota, and how long what nobody can be held to is kept."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from chfw_sr.service.outcome import DEFECT
from chfw_sr.service.ports import Store, Throttle

from .makers import ALICE, AT, BOB, CAROL, HOUR, quarantined, request_id

MINUTE = timedelta(minutes=1)
WITHHELD = Throttle(ALICE, AT + MINUTE, 3, 7, request_id(9))


async def save(store: Store, *throttles: Throttle) -> None:
    async with store.begin() as work:
        await work.throttles([each.user for each in throttles])
        await work.save_throttles(throttles)
        await work.commit()


async def remembered(store: Store, *users) -> dict:
    async with store.begin() as work:
        return dict(await work.throttles(users))


async def test_a_user_that_was_never_refused_is_none(store: Store) -> None:
    assert await remembered(store, ALICE, BOB) == {ALICE: Throttle(ALICE), BOB: Throttle(BOB)}
    assert await remembered(store) == {}


async def test_what_was_saved_is_remembered_and_saved_again(store: Store) -> None:
    await save(store, WITHHELD, Throttle(BOB, AT))
    assert await remembered(store, BOB, ALICE) == {ALICE: WITHHELD, BOB: Throttle(BOB, AT)}
    told = Throttle(ALICE, AT + HOUR, 4)
    await save(store, told)
    assert await remembered(store, ALICE) == {ALICE: told}


async def test_what_was_not_committed_is_not(store: Store) -> None:
    async with store.begin() as work:
        await work.throttles([ALICE])
        await work.save_throttles([WITHHELD])
    assert await remembered(store, ALICE) == {ALICE: Throttle(ALICE)}


async def test_two_that_count_at_once_lose_nothing(store: Store) -> None:
    async def add() -> None:
        async with store.begin() as work:
            known = (await work.throttles([ALICE]))[ALICE]
            await asyncio.sleep(0)
            await work.save_throttles([replace(known, withheld=known.withheld + 1)])
            await work.commit()

    await asyncio.gather(*(add() for _ in range(8)))
    assert (await remembered(store, ALICE))[ALICE].withheld == 8


async def test_due_are_those_from_whom_something_is_withheld_and_whose_time_has_come(store: Store) -> None:
    await save(
        store,
        Throttle(ALICE, AT, 0, 1, request_id(1)),
        Throttle(BOB, AT, 0, 0),
        Throttle(CAROL, AT + HOUR, 0, 1, request_id(1)),
    )
    assert await store.due_throttles(AT - MINUTE, 2 * HOUR, 9) == []
    assert await store.due_throttles(AT, 2 * HOUR, 9) == [ALICE]
    assert await store.due_throttles(AT + HOUR, 2 * HOUR, 9) == [ALICE, CAROL]
    assert await store.due_throttles(AT + HOUR, 2 * HOUR, 1) == [ALICE]


async def test_one_that_a_wrong_clock_put_too_far_off_is_due(store: Store) -> None:
    await save(store, Throttle(ALICE, AT + HOUR, 0, 1, request_id(1)))
    assert await store.due_throttles(AT, MINUTE, 9) == [ALICE]


async def test_the_oldest_of_the_quarantine_go_and_no_defect(store: Store) -> None:
    async with store.begin() as work:
        codes = ["E900", DEFECT, "E900", "E901", "E902"]
        await work.quarantine([quarantined(code.encode(), code=code) for code in codes])
        await work.commit()
    assert await store.purge_quarantine(9, 9) == 0
    assert await store.purge_quarantine(2, 1) == 1
    assert await store.purge_quarantine(2, 9) == 1
    assert [each.code for each in await store.queries.quarantined(9)] == ["E902", "E901", DEFECT]
