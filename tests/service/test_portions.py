"""Batches dealt out in portions."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chfw_sr.portions import portions


@given(items=st.lists(st.binary(max_size=30)), most=st.integers(0, 60))
def test_portions_are_all_items_in_order_and_as_large_as_may_be(items, most):
    dealt = [list(some) for some in portions(items, most, len)]
    assert [each for some in dealt for each in some] == items
    assert all(len(some) == 1 or (some and sum(map(len, some)) <= most) for some in dealt)
    assert all(sum(map(len, some)) + len(after[0]) > most for some, after in pairwise(dealt))
