"""`chfw-sr run`, and what belongs to it: `healthcheck` and `settings`."""

import asyncio
import http.client
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from chfw_sr.bootstrap.buses import Roles, TopologyMissing
from chfw_sr.bootstrap.running import Signals
from chfw_sr.bootstrap.running import run as run_service
from chfw_sr.service.supervision import GraceExpired, LoopDied
from chfw_sr.settings import LogFormat, LogLevel, Settings, load_settings, shown
from chfw_sr.telemetry.logs import configure_logging
from chfw_sr.telemetry.redaction import redact

from .app import CommandError, ExitCode, app, command, settings_of
from .output import JsonOption, print_json, print_table

HEALTH_SECONDS = 5.0
MOST_OF_AN_ANSWER = 65_536


@command(app)
def run(  # noqa: PLR0913, PLR0917 - one for each option
    context: typer.Context,
    consumer: Annotated[bool, typer.Option(help="Take Service Requests and process them.")] = True,
    relay: Annotated[bool, typer.Option(help="Publish what is in the outbox, and purge it.")] = True,
    clock: Annotated[bool, typer.Option(help="Take clock-driven steps; one process at a time does.")] = True,
    email: Annotated[bool, typer.Option(help="Send alerts by e-mail, if smtp_url is set.")] = True,
    embedded: Annotated[bool, typer.Option("--embedded", help="No RabbitMQ: files of a folder. See --spool.")] = False,
    spool: Annotated[Path | None, typer.Option(metavar="DIR", help="The folder for --embedded.")] = None,
    amqp: Annotated[str | None, typer.Option(metavar="URL", help="RabbitMQ: amqp://… or amqps://….")] = None,
    metrics_host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Where metrics are served.")] = None,
    metrics_port: Annotated[int | None, typer.Option(metavar="PORT", help="Where metrics are served.")] = None,
    grace: Annotated[float | None, typer.Option(metavar="SECONDS", help="How long draining may take.")] = None,
    log_level: Annotated[LogLevel | None, typer.Option(help="What is logged.")] = None,
    log_format: Annotated[LogFormat | None, typer.Option(help="How it is logged.")] = None,
    show_settings: Annotated[bool, typer.Option("--show-settings", help="Print the settings and end.")] = False,
) -> None:
    """Run the service: consumer, relay, clock and e-mail. Several processes, on several machines, are the normal case.

    It needs a database with the current schema (chfw-sr migrate), a signing key, and RabbitMQ with its queues
    (chfw-sr topology apply).

    With --embedded it needs no RabbitMQ. It takes the *.xml of DIR/in, which are put there by renaming, moves them to
    DIR/done once they are committed, and writes every message below DIR/out, laid out as by replay.

    SIGTERM or SIGINT drains within the grace period; a second one leaves at once (exit code 143 or 130), which is safe:
    what was in hand comes again. If the grace period is over first, the exit code is 1. If a loop dies of a defect, the
    process ends with 4: let a supervisor start it anew.

    Example:
      chfw-sr run
      chfw-sr run --no-clock --no-relay
      chfw-sr run --embedded --spool /var/spool/chfw
    """
    settings = load_settings(
        {
            "database_url": context.obj.database,
            "amqp_url": amqp,
            "spool": spool,
            "metrics_host": metrics_host,
            "metrics_port": metrics_port,
            "grace_seconds": grace,
            "log_level": log_level,
            "log_format": log_format,
        }
    )
    if show_settings:
        show(settings, as_json=False)
        return
    roles = Roles(consumer=consumer, relay=relay, clock=clock, email=email)
    if not (consumer or relay or clock or (email and settings.smtp_url)):
        raise CommandError("nothing to run: leave out one of --no-consumer, --no-relay, --no-clock", ExitCode.USAGE)
    as_json = settings.log_format is LogFormat.JSON or (
        settings.log_format is LogFormat.AUTO and not sys.stderr.isatty()
    )
    configure_logging(settings.log_level, as_json=as_json)
    asyncio.run(_serve(settings, roles, embedded=embedded))


async def _serve(settings: Settings, roles: Roles, *, embedded: bool) -> None:
    signals = Signals()
    signals.listen()
    try:
        await run_service(settings, roles, signals, embedded=embedded)
    except TopologyMissing as error:
        raise CommandError(f"RabbitMQ: {error}; run: chfw-sr topology apply", ExitCode.USAGE) from error
    except GraceExpired as error:
        raise CommandError(str(error)) from error
    except LoopDied as error:
        raise CommandError(redact(str(error)), ExitCode.INTERNAL) from error


@command(app)
def settings(context: typer.Context, as_json: JsonOption = False) -> None:
    """Print every setting that is in force, what it is for, and whether it differs from its default.

    Passwords are not printed.

    Example:
      chfw-sr settings --json
    """
    show(settings_of(context), as_json=as_json)


def show(settings: Settings, *, as_json: bool) -> None:
    """Print the settings, without secrets."""
    rows = list(shown(settings))
    if as_json:
        print_json(rows)
    else:
        print_table(
            ("setting", "value", "set", "meaning"),
            [(row.name, row.value, row.changed, row.description) for row in rows],
        )


@command(app)
def healthcheck(
    context: typer.Context,
    live: Annotated[bool, typer.Option("--live", help="Ask /healthz: is it alive? Else /readyz: can it work?")] = False,
    metrics_host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Where it is served.")] = None,
    metrics_port: Annotated[int | None, typer.Option(metavar="PORT", help="Where it is served.")] = None,
) -> None:
    """Ask a running process of this machine how it is. Prints its answer; exit code 0 if it is well, 1 if not.

    Exit code 3 if there is no answer. For a container's health check, or a script.

    Example:
      chfw-sr healthcheck --metrics-port 9464
    """
    options = {"database_url": context.obj.database, "metrics_host": metrics_host, "metrics_port": metrics_port}
    settings = load_settings(options)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.metrics_host, settings.metrics_host)  # noqa: S104
    path = "/healthz" if live else "/readyz"
    connection = http.client.HTTPConnection(host, settings.metrics_port, timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        report = json.loads(answer.read(MOST_OF_AN_ANSWER))
    except (OSError, http.client.HTTPException, ValueError) as error:
        place = f"{host}:{settings.metrics_port}{path}"
        raise CommandError(f"no answer from {place}: {error}", ExitCode.UNAVAILABLE) from error
    finally:
        connection.close()
    print_json(report)
    if answer.status != http.client.OK:
        raise CommandError("it is not alive" if live else "it is not ready")
