"""What every message value has in common: it is frozen, closed and compared by content."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from pydantic import BaseModel, ConfigDict

P = ParamSpec("P")
M = TypeVar("M", bound="Message")


class Message(BaseModel):
    """A frozen value of the wire contract: unknown fields are refused, nothing is coerced in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)


def unchecked(kind: Callable[P, M]) -> Callable[P, M]:
    """Give a constructor of a kind of message that takes its values as they are, at a quarter of the cost.

    For values that were checked where they came in: by the schema, or by a message that held them before. A date and
    time must be in UTC already. The type checker sees the signature of the kind itself.

    Args:
        kind: the class; its defaults hold.

    Returns:
        A function of the same keyword arguments; what it makes equals what the class would.
    """
    return cast("Callable[P, M]", _maker(cast("type[Message]", kind)))


@functools.cache
def _maker(kind: type[Message]) -> Callable[..., Message]:
    fields = kind.model_fields
    defaults = {name: field.default for name, field in fields.items() if not field.is_required()}
    count, names = len(fields), set(fields)
    # The four slots of a model, as `model_construct` fills them; the set of names is nobody's to change.
    put_values, put_names, put_extra, put_private = (
        cast("Any", vars(BaseModel)[slot]).__set__
        for slot in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
    )

    def make(**values: object) -> Message:
        message = object.__new__(kind)
        put_values(message, values if len(values) == count else {**defaults, **values})
        put_names(message, names)
        put_extra(message, None)
        put_private(message, None)
        return message

    return make
