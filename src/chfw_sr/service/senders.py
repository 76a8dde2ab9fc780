"""Who sent a message: what the signature says and what the bus says must agree (wire contract §6, §7).

RabbitMQ lets nobody set a `user_id` but the name of the account it authenticated, and the name of a User's account is
its EUI. So where a `user_id` is set, it must be the originator: another one means that somebody sends a message that
somebody else has signed. That is refused as a wrong signature is: nobody can be held to it, and the RequestID stays
free.
"""

from chfw_sr.messages import Rejected, ResponseCode, parse_eui
from chfw_sr.wire import Attributed, Unattributed

from .ports import Delivery


def attribute(delivery: Delivery, intake: Attributed | Unattributed) -> Attributed | Unattributed:
    """Hold the account that sent a message against the User that signed it.

    Args:
        delivery: as the bus gave it.
        intake: what its octets are.

    Returns:
        The intake; or one that nobody can be held to, with `E902`, if account and originator are not the same.
    """
    if isinstance(intake, Unattributed) or delivery.user_id is None:
        return intake
    originator = intake.request_id.originator
    try:
        same = delivery.user_id == originator or parse_eui(delivery.user_id) == originator
    except ValueError:
        same = False
    if same:
        return intake
    reason = f"sent by the account {delivery.user_id!r:.60}, and signed by {originator}"
    return Unattributed(Rejected(ResponseCode.E902, reason), intake.request_id, intake.srv)
