"""The word for "not now", which both the service and its clients use."""


class Unavailable(Exception):  # noqa: N818 - it names the outcome
    """A server is down or busy, or a race was lost: nothing happened, try again later."""
