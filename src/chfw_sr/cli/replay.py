"""`chfw-sr replay` and `quarantine replay`: through the very same path as a broker's messages."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from chfw_sr import bootstrap
from chfw_sr.messages import EUI, instant_text
from chfw_sr.service.outcome import Outcome
from chfw_sr.service.replay import StepResult
from chfw_sr.service.scenario import SCENARIO_FILE, Scenario, ScenarioError, read_scenario
from chfw_sr.settings import Settings

from .app import CommandError, ExitCode, app, command, settings_of
from .output import JsonOption, note, print_json, print_table
from .queues import quarantine_app

DATABASE_FILE = "replay.sqlite3"
"""The database of a scenario, in its folder of emitted messages."""

Row = dict[str, object]


@command(app, "replay")
def replay(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="XML files, folders of them, or scenarios.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for every emitted message; empty or new.")],
    json_output: JsonOption = False,
) -> None:
    """Send files in, through the very same path as a broker's messages, and write down everything that comes out.

    A folder with a scenario.toml is a scenario: it brings its own Users, hubs, key and clock, and plays on a database
    of its own, DIR/replay.sqlite3 (or the one that --database names). Its expectations are checked. Any other
    folder stands for its *.xml files in order of name; they go to the database of the settings, by the machine's clock.

    Messages are written to DIR/alerts/<recipient>/<n>-<code>.xml, DIR/responses/<originator>/<n>-<code>.xml,
    DIR/replies/<reply_to>/<n>-<code>.xml and, where nobody could be held to a document, DIR/quarantine/.
    Several scenarios get a folder each below DIR.

    Example:
      chfw-sr replay fixtures/campaign --out demo-out
    """
    _prepare(out)
    scenarios, files = _sort_out(paths)
    settings = settings_of(context)
    rows: list[Row] = []
    for folder, scenario in scenarios:
        target = out if len(paths) == 1 else out / folder.resolve().name
        url = context.obj.database or f"sqlite+aiosqlite:///{target / DATABASE_FILE}"
        its_own = bootstrap.scenario_settings(settings, scenario, folder, url)
        results = asyncio.run(_play(its_own, scenario, folder, target))
        rows += _rows(results, scenario, folder)
    if files:
        rows += asyncio.run(_send(settings, files, out))
    _show(rows, json_output=json_output)
    unmet = sum(len(row["unmet"]) for row in rows if isinstance(row["unmet"], list))
    note(f"{len(rows)} steps; every message lies below {out}/")
    if unmet:
        raise CommandError(f"{unmet} expectation(s) not met: see the lines above")


def _prepare(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CommandError(f"{out}: not an empty folder; name another one, or remove it first", ExitCode.USAGE)
    out.mkdir(parents=True, exist_ok=True)


def _sort_out(paths: Sequence[Path]) -> tuple[list[tuple[Path, Scenario]], list[Path]]:
    """Part the paths into scenarios and plain files."""
    scenarios: list[tuple[Path, Scenario]] = []
    files: list[Path] = []
    for path in paths:
        folder = path.parent if path.name == SCENARIO_FILE else path
        if (folder / SCENARIO_FILE).is_file() and path in (folder, folder / SCENARIO_FILE):
            try:
                scenarios.append((folder, read_scenario(folder)))
            except ScenarioError as error:
                raise CommandError(str(error)) from error
        elif path.is_dir():
            found = sorted(path.glob("*.xml"))
            if not found:
                raise CommandError(f"{path}: neither a {SCENARIO_FILE} nor *.xml in it", ExitCode.USAGE)
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise CommandError(f"{path}: no such file or folder", ExitCode.USAGE)
    names = Counter(folder.resolve().name for folder, _ in scenarios)
    if twice := [name for name, count in names.items() if count > 1]:
        raise CommandError(f"several scenarios are called {', '.join(twice)}: replay them one by one", ExitCode.USAGE)
    return scenarios, files


async def _play(settings: Settings, scenario: Scenario, folder: Path, out: Path) -> list[StepResult]:
    await asyncio.to_thread(out.mkdir, parents=True, exist_ok=True)
    await bootstrap.migrate(settings)
    async with bootstrap.open_store(settings) as store:
        return [result async for result in bootstrap.play_scenario(settings, store, scenario, folder, out)]


@command(quarantine_app, "replay")
def replay_quarantined(
    context: typer.Context,
    item_ids: Annotated[list[int], typer.Argument(metavar="ID…", min=1, help="Numbers in `quarantine list`.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for every emitted message; empty or new.")],
    json_output: JsonOption = False,
) -> None:
    """Send quarantined input in again, octets untouched: after a certificate was registered, say, or a defect mended.

    What can be attributed now is processed; what cannot is quarantined anew. The old entry stays and is marked.

    Example:
      chfw-sr quarantine replay 7 8 --out replayed
    """
    _prepare(out)
    rows = asyncio.run(_send_again(settings_of(context), item_ids, out))
    _show(rows, json_output=json_output)
    note(f"{len(rows)} sent in again; every message lies below {out}/")


async def _send_again(settings: Settings, item_ids: Sequence[int], out: Path) -> list[Row]:
    rows: list[Row] = []
    async with (
        bootstrap.open_store(settings) as store,
        bootstrap.open_replay(settings, store, out) as replaying,
    ):
        items = [(item_id, await store.queries.quarantined_item(item_id)) for item_id in dict.fromkeys(item_ids)]
        if missing := [str(item_id) for item_id, item in items if item is None]:
            raise CommandError(f"nothing in quarantine has the number {', '.join(missing)}; nothing was sent in")
        for item_id, item in items:
            assert item is not None
            replaying.recorder.alerts.clear()
            outcome = await replaying.octets(
                item.octets,
                source=f"quarantine {item_id}",
                reply_to=item.reply_to,
                correlation_id=item.correlation_id,
            )
            await store.mark_replayed(item_id, bootstrap.SystemClock().now())
            rows.append(_row(item_id, None, f"quarantine {item_id}", outcome, replaying.recorder.alerts, {}))
    return rows


async def _send(settings: Settings, files: Sequence[Path], out: Path) -> list[Row]:
    rows: list[Row] = []
    async with (
        bootstrap.open_store(settings) as store,
        bootstrap.open_replay(settings, store, out) as replaying,
    ):
        for number, path in enumerate(files, 1):
            replaying.recorder.alerts.clear()
            outcome = await replaying.file(path)
            rows.append(_row(number, None, str(path), outcome, replaying.recorder.alerts, {}))
    return rows


def _rows(results: Sequence[StepResult], scenario: Scenario, folder: Path) -> Iterator[Row]:
    names = {eui: name for name, eui in scenario.names.items()}
    for result in results:
        what = result.step.note or ""
        if result.step.file is not None:
            what = f"{folder.name}/{result.step.file.name}" + (f": {what}" if what else "")
        outcome = result.outcomes[0] if result.outcomes else None
        row = _row(result.number, instant_text(result.at), what or "the clock runs", outcome, result.alerts, names)
        yield row | {"unmet": list(result.unmet)}


def _row(
    number: int,
    at: str | None,
    what: str,
    outcome: Outcome | None,
    alerts: Counter[tuple[str, str]],
    names: Mapping[EUI, str],
) -> Row:
    told = {
        f"{names.get(EUI(recipient), recipient)} {code}": count for (recipient, code), count in sorted(alerts.items())
    }
    return {
        "step": number,
        "at": at,
        "what": what,
        "srv": outcome.srv if outcome else None,
        "ending": outcome.ending if outcome else None,
        "code": outcome.code if outcome else None,
        "reason": outcome.reason if outcome else None,
        "alerts": told,
        "unmet": [],
    }


def _show(rows: Sequence[Row], *, json_output: bool) -> None:
    if json_output:
        print_json(list(rows))
        return
    print_table(
        ("step", "at", "what", "SRV", "ending", "code", "alerts"),
        [
            (row["step"], row["at"], row["what"], row["srv"], row["ending"], row["code"], _told(row["alerts"]))
            for row in rows
        ],
    )
    for row in rows:
        if isinstance(row["unmet"], list):
            for sentence in row["unmet"]:
                note(f"step {row['step']} ({row['what']}): {sentence}")


def _told(alerts: object) -> str:
    if not isinstance(alerts, dict):
        return ""
    return ", ".join(key if count == 1 else f"{key} x{count}" for key, count in alerts.items())
