"""A value that is made quickly is a frozen dataclass like any other."""

import inspect
import pickle
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Generic, TypeVar

import pytest

from chfw_sr.quick import quick
from chfw_sr.service.ports import MessageKind, OutboxMessage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plain(Generic[T]):
    first: T
    second: str | None = None
    third: Mapping[str, str] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True)
class Quick(Generic[T]):
    first: T
    second: str | None = None
    third: Mapping[str, str] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("values", "named"), [((1,), {}), ((1, "x"), {}), ((), {"first": 1, "third": {"a": "b"}}), ((1, None, {}), {})]
)
def test_it_holds_what_a_plain_one_holds(values, named):
    plain, made = Plain(*values, **named), Quick(*values, **named)
    assert [getattr(made, each.name) for each in fields(made)] == [getattr(plain, each.name) for each in fields(plain)]
    assert made == Quick(*values, **named)
    assert repr(made) == repr(plain).replace("Plain", "Quick")
    assert inspect.signature(Quick) == inspect.signature(Plain)


def test_it_is_frozen_and_compared_by_content():
    made = Quick(1, "x")
    assert made != Quick(2, "x")
    assert hash(Quick(1, "x", None)) == hash(Quick(1, "x", None))
    with pytest.raises(FrozenInstanceError):
        made.first = 2
    with pytest.raises(FrozenInstanceError):
        del made.first


def test_it_is_replaced_and_pickled_as_any_other():
    message = OutboxMessage(1, MessageKind.ALERT, "a", "b", "N64", b"x", datetime(2026, 1, 1, tzinfo=UTC))
    assert replace(message, id=2).id == 2
    assert replace(replace(message, id=2), id=1) == message
    assert pickle.loads(pickle.dumps(message)) == message


def test_no_two_share_a_default_that_is_made():
    assert Quick(1).third is not Quick(1).third


@pytest.mark.parametrize(
    ("values", "named"), [((), {}), ((1, "x", {}, 4), {}), ((1,), {"first": 1}), ((1,), {"fourth": 4})]
)
def test_what_does_not_fit_is_refused(values, named):
    with pytest.raises(TypeError):
        Quick(*values, **named)


def test_a_class_that_does_more_is_refused():
    @dataclass(frozen=True, slots=True)
    class Checked:
        number: int

        def __post_init__(self) -> None:
            raise ValueError

    @dataclass(frozen=True, slots=True)
    class Hidden:
        number: int = field(default=1, init=False)

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Named:
        number: int

    for kind in (Checked, Hidden, Named):
        with pytest.raises(TypeError, match="made by more than filling its slots"):
            quick(kind)
