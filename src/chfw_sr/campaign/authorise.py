"""Who may send what (wire contract §2, §3 and §6)."""

from chfw_sr.messages import COMMAND_VARIANT, SERVICE_REFERENCES, Rejected, ResponseCode, ServiceRequest, UserStatus

from .model import User


def authorise(request: ServiceRequest, user: User | None) -> None:
    """Check that this User may send this Service Request, in the order of the wire contract.

    Args:
        request: read from a verified document.
        user: its originator; None if there is no such User.

    Raises:
        Rejected: `E1` for an unknown User or one without a role, `E3` for one that is not active, `E2` if none of its
            roles may send this Service Reference Variant, `E12` for another Command Variant.

    Source: wire contract §6.
    """
    originator = request.request_id.originator
    if user is None:
        raise Rejected(ResponseCode.E1, f"There is no User {originator}.")
    if not user.roles:
        raise Rejected(ResponseCode.E1, f"User {originator} has no role.")
    if user.status is not UserStatus.ACTIVE:
        raise Rejected(ResponseCode.E3, f"User {originator} is {user.status}.")
    allowed = SERVICE_REFERENCES[request.srv].roles
    if not user.roles & allowed:
        held = ", ".join(sorted(user.roles))
        raise Rejected(
            ResponseCode.E2, f"{request.srv} may be sent by {', '.join(sorted(allowed))}, and this User is {held}."
        )
    if request.command_variant != COMMAND_VARIANT:
        raise Rejected(
            ResponseCode.E12,
            f"{request.srv} takes Command Variant {COMMAND_VARIANT}, not {request.command_variant}.",
        )
