"""`chfw-sr hub`: one hub and its timeline."""

from typing import Annotated

import typer

from chfw_sr.messages import EUI, parse_eui
from chfw_sr.service.ports import HubView, Store

from .app import CommandError, command, command_group, with_store
from .output import JsonOption, plain, print_fields, print_json, print_table, record

hub_app = command_group("hub", "Look at one Communications Hub.")


def eui_argument(text: str) -> EUI:
    """Read an EUI given on the command line.

    Raises:
        typer.BadParameter: if it is none.
    """
    try:
        return parse_eui(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@command(hub_app, "show")
def show_hub(
    context: typer.Context,
    eui: Annotated[str, typer.Argument(metavar="EUI", parser=eui_argument, help="The hub's EUI, in either case.")],
    json_output: JsonOption = False,
) -> None:
    """Show a hub: what the inventory holds, its place in a campaign, its results and its timeline, oldest first.

    Example:
      chfw-sr hub show 90-B3-D5-1F-30-A0-00-01
    """

    async def view(store: Store) -> HubView | None:
        return await store.queries.hub(EUI(eui))

    found = with_store(context, view)
    if found is None:
        raise CommandError(f"no hub {eui}; see that the inventory was imported")
    if json_output:
        print_json(record(found.hub) | {"activations": plain(found.activations), "history": plain(found.history)})
        return
    print_fields(record(found.hub))
    if found.activations:
        print_table(
            ("at", "result", "version", "failure", "campaign", "counts", "request"),
            [
                (
                    each.at,
                    each.result,
                    each.firmware_version,
                    each.failure_reason,
                    each.campaign_id,
                    each.effective,
                    each.request_id,
                )
                for each in found.activations
            ],
            title="Activations",
        )
    if found.history:
        print_table(
            ("at", "what", "campaign", "user", "request", "detail"),
            [(each.at, each.kind, each.campaign_id, each.user, each.request_id, each.detail) for each in found.history],
            title="Timeline",
        )
