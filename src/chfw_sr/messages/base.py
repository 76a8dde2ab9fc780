"""What every message value has in common: it is frozen, closed and compared by content."""

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """A frozen value of the wire contract: unknown fields are refused, nothing is coerced in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)
