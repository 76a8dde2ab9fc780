"""The adapter: hears the Supplier's alerts, answers N901, and says what came of it."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from chfw_sr.client import Client, ReceivedAlert
from chfw_sr.messages import (
    PilotPlanConfirmed,
    PilotPlanPublished,
    PilotPreferencesAccepted,
    PilotPreferencesPartlyAccepted,
    ServiceRequestRejected,
    UpdatePilotPreferences,
)

from .preferences import Preference, choose

Preferences = Callable[[], Sequence[Preference]]


@dataclass(frozen=True, slots=True)
class Event:
    """An alert, and what the adapter made of it."""

    alert: ReceivedAlert
    text: str


async def adapt(client: Client, preferences: Preferences) -> AsyncGenerator[Event, None]:
    """Answer every pilot plan, for ever.

    An alert is done when the next one is asked for. One that was not done comes again, and is answered again: that does
    no harm, because preferences replace what was sent before.

    Args:
        client: the Supplier's, running.
        preferences: gives the hubs that the Supplier would like, the dearest first; asked anew for every plan.
    """
    async with client.alerts() as alerts:
        async for alert in alerts:
            yield Event(alert, await _handle(client, alert, preferences))


async def _handle(client: Client, alert: ReceivedAlert, preferences: Preferences) -> str:
    match alert.body:
        case PilotPlanPublished() as plan:
            return await _answer(client, plan, preferences())
        case PilotPreferencesAccepted() as accepted:
            return f"{accepted.campaign_id}: all {accepted.accepted} hubs were accepted"
        case PilotPreferencesPartlyAccepted() as accepted:
            refused = accepted.warning.model_dump(exclude_defaults=True)
            reasons = ", ".join(f"{len(hubs)} {why.replace('_', ' ')}" for why, hubs in refused.items())
            return f"{accepted.campaign_id}: {accepted.accepted} hubs were accepted, refused were {reasons}"
        case ServiceRequestRejected() as rejected:
            return f"{rejected.request_id} was refused: {rejected.response_code} {rejected.reason}"
        case PilotPlanConfirmed() as plan:
            return f"{plan.campaign_id}: confirmed are {len(plan.pilot_list)} hubs, {plan.list_source.lower()} list"
        case _:
            return f"{alert.campaign_id or 'no campaign'}: {alert.code}"


async def _answer(client: Client, plan: PilotPlanPublished, preferences: Sequence[Preference]) -> str:
    chosen = choose(plan, preferences)
    if not chosen:
        return f"{plan.campaign_id}: no hub of ours fits; the default list of {len(plan.default_list)} stands"
    submission = await client.send(UpdatePilotPreferences(campaign_id=plan.campaign_id, preferred_list=chosen))
    response = await submission.response()
    return f"{plan.campaign_id}: nominated {len(chosen)} hubs until {plan.response_deadline}: {response.code}"
