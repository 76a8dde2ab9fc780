"""The one exception for a Service Request that its sender got wrong."""

from .catalogue import ResponseCode
from .responses import Fault


class Rejected(Exception):  # noqa: N818 - it names the outcome, not a defect of ours
    """The sender's fault: record it, answer it, acknowledge it.

    Args:
        code: the response code to answer with.
        reason: one sentence for the sender's engineer, naming the place.
        path: for a schema fault, the XPath of the element.
        line: for a schema fault, its line, from 1.

    Source: wire contract §6.
    """

    def __init__(self, code: ResponseCode, reason: str, *, path: str | None = None, line: int | None = None) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
        self.path = path
        self.line = line

    def fault(self) -> Fault:
        """Give the payload of the Service Response that answers this."""
        return Fault(reason=self.reason, path=self.path, line=self.line)
