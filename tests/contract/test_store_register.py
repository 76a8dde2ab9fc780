"""The contract of every store: Users, the trust store and the hub inventory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from chfw_sr.campaign.changes import ActivationsRecorded, DefaultListSet
from chfw_sr.campaign.model import Hub, Membership
from chfw_sr.messages import HubStatus, Phase, Region, Role, UserStatus
from chfw_sr.service.ports import ImportCount, Store, UserRecord
from chfw_sr.wire import TrustedCertificate

from .makers import (
    ALICE,
    AT,
    BOB,
    C1,
    CAROL,
    DAY,
    HOUR,
    NEW,
    apply,
    chunks,
    claim,
    create,
    enrol,
    found,
    hub,
    hub_eui,
    kinds,
    numbers,
    result,
    stock,
    timeline,
    trusted,
    user,
)


def in_any_order(certificates: Sequence[TrustedCertificate]) -> list[TrustedCertificate]:
    return sorted(certificates, key=lambda each: each.certificate.serial_number)


async def save(store: Store, *records: UserRecord) -> None:
    await store.register.save_users(records, AT)


# --------------------------------------------------------------------------------------------------------------- users


async def test_an_empty_register(store: Store) -> None:
    assert list(await store.register.users()) == []
    assert list(await store.register.certificates()) == []
    await save(store)
    assert list(await store.register.users()) == []


async def test_users_come_in_order_of_eui_with_their_certificates(store: Store) -> None:
    carol = user(CAROL, Role.CSP, Role.IS, status=UserStatus.SUSPENDED, regions=frozenset({Region.NORTH, Region.SOUTH}))
    records = [
        UserRecord(carol, (trusted(CAROL, 2**158, revoked_at=AT + DAY),)),
        UserRecord(user(ALICE, Role.GS)),
        UserRecord(user(BOB), (trusted(BOB, 1), trusted(BOB, 2))),
    ]
    await save(store, *records)

    known = list(await store.register.users())

    assert [record.user for record in known] == [records[1].user, records[2].user, carol]
    assert [in_any_order(record.certificates) for record in known] == [
        [],
        [trusted(BOB, 1), trusted(BOB, 2)],
        [trusted(CAROL, 2**158, revoked_at=AT + DAY)],
    ]


async def test_saving_again_replaces_a_user_and_leaves_the_others(store: Store) -> None:
    await enrol(store, user(ALICE, Role.IS), user(BOB))
    changed = user(ALICE, Role.GS, Role.ED, status=UserStatus.SUSPENDED)
    await enrol(store, changed)
    assert [record.user for record in await store.register.users()] == [changed, user(BOB)]


async def test_certificates_not_named_are_withdrawn(store: Store) -> None:
    await save(
        store,
        UserRecord(user(ALICE), (trusted(ALICE, 11), trusted(ALICE, 12))),
        UserRecord(user(BOB), (trusted(BOB, 13),)),
    )
    await save(store, UserRecord(user(ALICE), (trusted(ALICE, 12, revoked_at=AT), trusted(ALICE, 14))))

    assert in_any_order(await store.register.certificates()) == [
        trusted(ALICE, 12, revoked_at=AT),
        trusted(BOB, 13),
        trusted(ALICE, 14),
    ]


async def test_the_trust_revision_changes_with_every_certificate(store: Store) -> None:
    revisions = [await store.register.trust_revision()]
    assert await store.register.trust_revision() == revisions[0]
    for certificates in ((trusted(ALICE, 21),), (trusted(ALICE, 21, revoked_at=AT),), (trusted(ALICE, 22),), ()):
        await save(store, UserRecord(user(ALICE), certificates))
        revisions.append(await store.register.trust_revision())
        async with store.begin() as work:
            assert await work.trust_revision() == revisions[-1]
            await work.claim([claim(1)])
            assert await work.trust_revision() == revisions[-1]
    assert len(set(revisions)) == len(revisions)


async def test_users_are_saved_all_or_none(store: Store) -> None:
    async with store.begin() as work:  # a writer that goes first
        await work.reserve(1)
        saving = asyncio.create_task(save(store, UserRecord(user(ALICE), (trusted(ALICE, 31),)), UserRecord(user(BOB))))
        await asyncio.sleep(0)
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving
    assert list(await store.register.users()) == []
    assert list(await store.register.certificates()) == []


# ----------------------------------------------------------------------------------------------------------- inventory


async def test_an_import_adds_hubs(store: Store) -> None:
    hubs = [hub(1), hub(2, region=Region.SOUTH), hub(3, status=HubStatus.WITHDRAWN, import_supplier=None)]
    assert await store.register.import_hubs(chunks(hubs[:2], hubs[2:]), AT) == ImportCount(added=3)
    assert await found(store, 1, 2, 3) == hubs


async def test_an_import_of_nothing(store: Store) -> None:
    assert await store.register.import_hubs(chunks(), AT) == ImportCount()
    assert await store.register.import_hubs(chunks([], [hub(1)], []), AT) == ImportCount(added=1)


async def test_an_import_replaces_data_and_counts_what_changed(store: Store) -> None:
    await stock(store, hub(1), hub(2), hub(3, gas_supplier=BOB))
    after = [hub(1), hub(2, import_supplier=None), hub(3, gas_supplier=BOB, firmware_version="1.1"), hub(4)]

    count = await store.register.import_hubs(chunks(after), AT + HOUR)

    assert count == ImportCount(added=1, changed=2, unchanged=1)
    assert await found(store, 1, 2, 3, 4) == after


async def test_a_change_of_the_inventory_stands_in_the_timeline(store: Store) -> None:
    await stock(store, hub(1), hub(2))
    await store.register.import_hubs(chunks([hub(1), hub(2, region=Region.SOUTH)]), AT + HOUR)
    assert await kinds(store, 1) == []
    (row,) = await timeline(store, 2)
    assert (row.kind, row.at, row.hub, row.campaign_id, row.request_id) == (
        "HubChanged",
        AT + HOUR,
        hub_eui(2),
        None,
        None,
    )


@pytest.mark.parametrize("together", [True, False])
async def test_of_a_hub_that_comes_twice_the_later_wins(store: Store, together: bool) -> None:
    twice = [hub(1, firmware_version="a"), hub(1, firmware_version="b")]
    count = await store.register.import_hubs(chunks(twice) if together else chunks(twice[:1], twice[1:]), AT)
    assert count == ImportCount(added=1)
    assert await found(store, 1) == twice[1:]
    assert await kinds(store, 1) == []


async def test_an_import_leaves_activation_and_membership(store: Store) -> None:
    await stock(store, hub(1))
    await create(store)
    await apply(store, DefaultListSet(C1, {ALICE: numbers([1])}))
    await apply(store, ActivationsRecorded((result(1, at=AT + HOUR, campaign_id=None, phase=None),)))

    other = Membership(C1, Phase.SAFE_LAUNCH, nominated_by=BOB)
    await stock(store, hub(1, region=Region.SOUTH, last_activation_at=AT - DAY, membership=other))

    (known,) = await found(store, 1)
    assert known == replace(
        hub(1, region=Region.SOUTH),
        last_activation_at=AT + HOUR,
        membership=Membership(C1, Phase.PILOT, default_supplier=ALICE),
    )
    await stock(store, hub(1, firmware_version=NEW))
    assert (await found(store, 1))[0].firmware_version == NEW


async def test_an_import_that_fails_leaves_nothing(store: Store) -> None:
    await stock(store, hub(1))

    async def broken() -> AsyncIterator[Sequence[Hub]]:
        yield [hub(1, firmware_version="x"), hub(2)]
        raise OSError("the file ends here")

    with pytest.raises(OSError, match="the file ends here"):
        await store.register.import_hubs(broken(), AT)
    assert (await found(store, 1)) == [hub(1)]
    assert await store.queries.hub(hub_eui(2)) is None
    await stock(store, hub(2))
    assert (await found(store, 2)) == [hub(2)]
