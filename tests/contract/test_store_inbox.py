"""The contract of every store: claims of RequestIDs (wire contract §6, repeats and `E903`)."""

import asyncio

import pytest

from chfw_sr.messages import ResponseCode
from chfw_sr.service.ports import Claim, Claimed, ClaimStatus, Store, Unavailable

from .makers import AT, HOUR, claim, record, request_id


async def claimed(store: Store, *claims: Claim, response: bytes = b"<response/>", commit: bool = True) -> list[Claimed]:
    """Claim, finish what is new, commit."""
    async with store.begin() as work:
        answers = list(await work.claim(claims))
        new = [one for one, answer in zip(claims, answers, strict=True) if answer.status is not ClaimStatus.REPEAT]
        await work.finish([record(one, response) for one in new])
        if commit:
            await work.commit()
    return answers


async def test_a_new_request_id_is_claimed_once(store: Store) -> None:
    assert await claimed(store, claim(1), response=b"first") == [Claimed(ClaimStatus.NEW)]
    assert await claimed(store, claim(1)) == [Claimed(ClaimStatus.REPEAT, b"first", "I99")]


async def test_other_content_is_a_conflict_that_is_remembered_by_its_content(store: Store) -> None:
    await claimed(store, claim(1, "one"), response=b"one")

    assert await claimed(store, claim(1, "two"), response=b"two") == [Claimed(ClaimStatus.CONFLICT)]

    assert await claimed(store, claim(1, "two")) == [Claimed(ClaimStatus.REPEAT, b"two", "I99")]
    assert await claimed(store, claim(1, "one")) == [Claimed(ClaimStatus.REPEAT, b"one", "I99")]
    assert await claimed(store, claim(1, "three")) == [Claimed(ClaimStatus.CONFLICT)]


async def test_the_answers_are_in_the_order_of_the_claims(store: Store) -> None:
    await claimed(store, claim(3), claim(5))

    answers = await claimed(store, claim(5, "other"), claim(1), claim(3), claim(2))

    assert [answer.status for answer in answers] == [
        ClaimStatus.CONFLICT,
        ClaimStatus.NEW,
        ClaimStatus.REPEAT,
        ClaimStatus.NEW,
    ]


async def test_claiming_nothing_gives_nothing(store: Store) -> None:
    assert await claimed(store) == []


async def test_a_repeat_within_the_transaction_finds_the_finished_request(store: Store) -> None:
    async with store.begin() as work:
        await work.claim([claim(1)])
        await work.finish([record(claim(1), b"early", code=ResponseCode.I0)])
        assert list(await work.claim([claim(1)])) == [Claimed(ClaimStatus.REPEAT, b"early", "I0")]
        assert [one.status for one in await work.claim([claim(1, "other")])] == [ClaimStatus.CONFLICT]
        await work.finish([record(claim(1, "other"))])
        await work.commit()
    assert [entry.conflict for entry in await store.queries.inbox(10)] == [True, False]


async def test_what_is_claimed_and_not_finished_is_a_repeat_or_a_conflict_at_once(store: Store) -> None:
    async with store.begin() as work:
        statuses = [(await work.claim([each]))[0].status for each in (claim(1), claim(1), claim(1, "other"))]
    assert statuses == [ClaimStatus.NEW, ClaimStatus.REPEAT, ClaimStatus.CONFLICT]


async def test_a_rollback_gives_request_ids_free(store: Store) -> None:
    await claimed(store, claim(1), commit=False)
    assert await claimed(store, claim(1, "other")) == [Claimed(ClaimStatus.NEW)]


async def test_what_was_claimed_must_be_finished(store: Store) -> None:
    async with store.begin() as work:
        await work.claim([claim(1), claim(2)])
        await work.finish([record(claim(1))])
        with pytest.raises(RuntimeError):
            await work.commit()
    assert await store.queries.inbox(10) == []
    assert await claimed(store, claim(1), claim(2)) == [Claimed(ClaimStatus.NEW)] * 2


async def test_the_inbox_shows_requests_newest_first(store: Store) -> None:
    for number in range(1, 4):
        async with store.begin() as work:
            await work.claim([claim(number)])
            await work.finish([record(claim(number), code=ResponseCode.E900, at=AT + number * HOUR)])
            await work.commit()

    newest = await store.queries.inbox(2)

    assert [entry.request_id for entry in newest] == [str(request_id(3)), str(request_id(2))]
    assert newest[0].digest == claim(3).digest
    assert (newest[0].srv, newest[0].code, newest[0].conflict) == ("11.6", "E900", False)
    assert newest[0].received_at == AT + 3 * HOUR


async def test_a_request_without_a_reference_is_kept(store: Store) -> None:
    async with store.begin() as work:
        await work.claim([claim(1)])
        await work.finish([record(claim(1)).__class__(claim(1), None, ResponseCode.E901, b"<r/>", AT)])
        await work.commit()
    (entry,) = await store.queries.inbox(1)
    assert (entry.srv, entry.code) == (None, "E901")


@pytest.mark.parametrize("first_commits", [True, False])
async def test_of_two_writers_one_owns_the_request_id(store: Store, first_commits: bool) -> None:
    async with store.begin() as first:
        assert [one.status for one in await first.claim([claim(1)])] == [ClaimStatus.NEW]
        await first.finish([record(claim(1), b"first")])
        await first.anticipate([])  # a store may keep to itself what nobody asks for until the commit; not any longer
        second = asyncio.create_task(claimed(store, claim(1), response=b"second"))
        await asyncio.wait({second}, timeout=0.1)
        assert not second.done() or isinstance(second.exception(), Unavailable)
        if first_commits:
            await first.commit()
    await asyncio.wait({second})
    if isinstance(second.exception(), Unavailable):
        second = asyncio.create_task(claimed(store, claim(1), response=b"second"))

    expected = Claimed(ClaimStatus.REPEAT, b"first", "I99") if first_commits else Claimed(ClaimStatus.NEW)
    assert await second == [expected]


async def test_many_writers_claim_every_request_id_once(store: Store) -> None:
    async def writer(order: int) -> list[Claimed]:
        mine = [claim(number) for number in range(1, 9)]
        while True:
            try:
                return await claimed(store, *(mine if order % 2 else mine[::-1]))
            except Unavailable:
                await asyncio.sleep(0)

    answers = await asyncio.gather(*(writer(order) for order in range(6)))

    statuses = [one.status for each in answers for one in each]
    assert statuses.count(ClaimStatus.NEW) == 8
    assert statuses.count(ClaimStatus.REPEAT) == 40
