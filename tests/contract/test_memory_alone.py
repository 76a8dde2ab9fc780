"""What the store in memory does with orders that no decision gives."""

import pytest

from chfw_sr.campaign.changes import DefaultListSet, NominationsReplaced
from chfw_sr.messages import Phase
from chfw_sr.storage.memory import MemoryStore
from chfw_sr.storage.memory.state import Draft

from .makers import ALICE, BOB, C1, C2, apply, campaign, create, found, hub, numbers, stock


async def test_a_hub_has_one_live_campaign() -> None:
    store = MemoryStore()
    await stock(store, hub(1), hub(2))
    await create(store, campaign(C1), campaign(C2))
    await apply(store, DefaultListSet(C1, {ALICE: numbers([1])}))

    with pytest.raises(RuntimeError, match="is held by C1"):
        await apply(store, NominationsReplaced(C2, BOB, numbers([2, 1])))

    one, two = (each.membership for each in await found(store, 1, 2))
    assert one is not None
    assert (one.campaign_id, one.phase) == (C1, Phase.PILOT)
    assert two is None


async def test_what_is_not_a_change_is_refused() -> None:
    with pytest.raises(TypeError, match="not a change"):
        await apply(MemoryStore(), "nonsense")  # type: ignore[arg-type]


def test_a_draft_is_a_table_over_a_table() -> None:
    base = {"kept": 1, "changed": 2, "gone": 3, "back": 4}
    draft: Draft[str, int] = Draft(base)
    draft["changed"] = 20
    draft["new"] = 50
    draft["newer"] = 60
    del draft["gone"]
    del draft["newer"]
    del draft["back"]
    draft["back"] = 40

    expected = {"kept": 1, "changed": 20, "back": 40, "new": 50}
    assert dict(draft) == expected
    assert len(draft) == 4
    assert "gone" not in draft
    assert draft.get("gone") is None
    with pytest.raises(KeyError):
        del draft["gone"]
    assert base == {"kept": 1, "changed": 2, "gone": 3, "back": 4}
    draft.commit()
    assert base == expected
