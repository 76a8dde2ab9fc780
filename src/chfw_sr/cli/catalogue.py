"""`chfw-sr catalogue` and `stages`: the documentation that is made from the code."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated

import typer

from chfw_sr.campaign import transitions
from chfw_sr.messages.catalogue import ALERTS, RESPONSES, SERVICE_REFERENCES

from .app import app, command
from .output import Json, JsonOption, plain, print_json


class CatalogueFormat(StrEnum):
    """How the catalogue is printed."""

    MARKDOWN = "markdown"
    JSON = "json"


@command(app, "catalogue")
def catalogue(
    output_format: Annotated[
        CatalogueFormat, typer.Option("--format", help="How to print.")
    ] = CatalogueFormat.MARKDOWN,
    json_output: JsonOption = False,
    diagram: Annotated[bool, typer.Option("--diagram", help="The same as `stages`.")] = False,
) -> None:
    """Print the catalogue of requests and codes.

    Every Service Reference Variant, DCC Alert code and response code has a row, with meaning and origin.

    Example:
      chfw-sr catalogue > docs/catalogue.md
    """
    if diagram:
        typer.echo(stages_page(), nl=False)
    elif json_output or output_format is CatalogueFormat.JSON:
        print_json(catalogue_data())
    else:
        typer.echo(catalogue_page(), nl=False)


@command(app, "stages")
def stages() -> None:
    """Print the diagram of a campaign's stages.

    Drawn from the one table of transitions, in Markdown with Mermaid.

    Example:
      chfw-sr stages > docs/stages.md
    """
    typer.echo(stages_page(), nl=False)


def catalogue_data() -> dict[str, Json]:
    """Give the catalogue as JSON has it."""
    return {
        "service_requests": [
            {
                "srv": srv.value,
                "name": entry.name,
                "element": entry.element,
                "roles": plain(entry.roles),
                "read": entry.read,
                "origin": entry.origin,
            }
            for srv, entry in SERVICE_REFERENCES.items()
        ],
        "alerts": [
            {"code": code.value, "element": entry.element, "meaning": entry.meaning, "origin": entry.origin}
            for code, entry in ALERTS.items()
        ],
        "responses": [
            {"code": code.value, "meaning": entry.meaning, "origin": entry.origin, "used": entry.raised}
            for code, entry in RESPONSES.items()
        ],
    }


def catalogue_page() -> str:
    """Give the catalogue as the Markdown page that `docs/` holds."""
    requests = [
        (
            srv,
            entry.name,
            f"`{entry.element}`",
            ", ".join(sorted(entry.roles)),
            "yes" if entry.read else "",
            entry.origin,
        )
        for srv, entry in SERVICE_REFERENCES.items()
    ]
    alerts = [(code, f"`{entry.element}`", entry.meaning, entry.origin) for code, entry in ALERTS.items()]
    responses = [(code, entry.meaning, entry.origin) for code, entry in RESPONSES.items()]
    parts = [
        "# Catalogue",
        "Made by `chfw-sr catalogue`; do not edit. Origin `DUIS`: holds in DUIS XML Schema 5.4; `ext`: our extension.",
        "## Service Requests\n\nA read changes nothing; once served, its Service Response is its only answer.",
        _markdown(("SRV", "name", "body element", "roles that may send it", "read", "origin"), requests),
        "## DCC Alerts",
        _markdown(("code", "element", "meaning", "origin"), alerts),
        "## Response codes",
        _markdown(("code", "meaning", "origin"), responses),
    ]
    return "\n\n".join(parts) + "\n"


def stages_page() -> str:
    """Give the diagram of stages as the Markdown page that `docs/` holds."""
    return (
        "# Stages of a campaign\n\nMade by `chfw-sr stages` from the one table of transitions; do not edit. "
        f"What has no arrow is refused.\n\n```mermaid\n{transitions.diagram().rstrip()}\n```\n"
    )


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
