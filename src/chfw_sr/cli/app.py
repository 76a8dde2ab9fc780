"""The application that every command registers on: global options, exit codes, errors, and the one event loop.

A command raises what went wrong; `_Application` alone turns that into a message on stderr and an exit code. A command
that needs the database hands a coroutine function to `with_store`.
"""

import asyncio
import errno
import inspect
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from chfw_sr import __version__, bootstrap
from chfw_sr.service.ports import Store, Unavailable
from chfw_sr.service.registration import InvalidFile
from chfw_sr.settings import Settings, SettingsError, load_settings
from chfw_sr.storage.migrations import SchemaOutdated

from .output import note

SHOWN_PROBLEMS = 20
"""Problems of one file that are written out; the rest is counted."""

_Answer = TypeVar("_Answer")


class ExitCode(IntEnum):
    """How a command ends; `EXIT_CODES` says the same to its user."""

    DONE = 0
    NO = 1
    USAGE = 2
    UNAVAILABLE = 3
    INTERNAL = 4


EXIT_CODES = (
    "Exit codes: 0 done; 1 the answer is no: something is invalid or not found, an expectation failed; "
    "2 wrong usage or settings; 3 a server is unavailable; 4 internal error."
)


class CommandError(Exception):
    """What a command cannot do, told to its user.

    Args:
        message: what is wrong, naming the place, and what to do next.
        code: how the command ends.
    """

    def __init__(self, message: str, code: ExitCode = ExitCode.NO) -> None:
        super().__init__(message)
        self.code = code


class _Application(TyperGroup):
    """The root command: every error of every command ends here."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CommandError as error:
            raise _failure(str(error), error.code) from error
        except InvalidFile as error:
            raise _failure(problem_report(error), ExitCode.NO) from error
        except SettingsError as error:
            raise _failure(f"settings: {error}", ExitCode.USAGE) from error
        except SchemaOutdated as error:
            raise _failure(f"{error}; run: chfw-sr migrate", ExitCode.USAGE) from error
        except Unavailable as error:
            raise _failure(f"unavailable: {error}; try again later", ExitCode.UNAVAILABLE) from error
        except OSError as error:
            if error.errno == errno.EPIPE or error.filename is None:
                raise
            raise _failure(f"{error.filename}: {error.strerror}", ExitCode.USAGE) from error


def _failure(message: str, code: ExitCode) -> typer.Exit:
    note(f"error: {message}")
    return typer.Exit(code)


def problem_report(error: InvalidFile) -> str:
    """Write out what is wrong with a file: the first problems, and how many more there are."""
    lines = [f"{error.source}: {problem}" for problem in error.problems[:SHOWN_PROBLEMS]]
    if (more := len(error.problems) - SHOWN_PROBLEMS) > 0:
        lines.append(f"{error.source}: and {more} more")
    return "\n".join(lines)


app = typer.Typer(
    cls=_Application,
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def command(group: typer.Typer, name: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command; its docstring is its help, and the exit codes stand below it.

    Args:
        group: `app`, or what `command_group` gave.
        name: the command's name; the function's if absent.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        return group.command(name, help=_help_of(function), epilog=EXIT_CODES)(function)

    return register


def _help_of(function: Callable[..., None]) -> str:
    """Give a command's docstring with a mark on every paragraph that has indented lines: those keep their lines."""
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    return "\n\n".join(f"\b\n{each}" if "\n " in each else each for each in paragraphs)


def command_group(name: str, description: str) -> typer.Typer:
    """Make a group of commands, `chfw-sr NAME …`."""
    group = typer.Typer(help=description, epilog=EXIT_CODES, no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(group, name=name)
    return group


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    """What stands before the command."""

    database: str | None


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def global_options(
    context: typer.Context,
    database: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Database: sqlite+aiosqlite:///FILE or postgresql+asyncpg://USER@HOST/NAME."),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Process Service Requests for Communications Hub firmware campaigns (SECMP0024, Option 1).

    Settings come from options, from the environment (CHFW_SR_…, for instance CHFW_SR_DATABASE_URL) and from
    chfw-sr.toml in the current folder, in that order of precedence.

    Data goes to stdout, everything else to stderr.
    """
    context.obj = GlobalOptions(database)


def settings_of(context: typer.Context, flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings, the global options and those of a command among them.

    Args:
        context: has the global options.
        flags: values of a command's options, by the names of settings; None values count as not given.

    Raises:
        SettingsError: if a setting is unknown or unusable.
    """
    options: GlobalOptions = context.obj
    return load_settings({"database_url": options.database, **(flags or {})})


def with_store(context: typer.Context, work: Callable[[Store], Awaitable[_Answer]]) -> _Answer:
    """Open the database, do the work in an event loop of its own, and close the database.

    Raises:
        SettingsError: if a setting is unknown or unusable.
        SchemaOutdated: if the database's schema is not the one of this version.
        Unavailable: if the database cannot be reached.
    """
    settings = settings_of(context)

    async def run() -> _Answer:
        async with bootstrap.open_store(settings) as store:
            return await work(store)

    return asyncio.run(run())


def main() -> None:
    """Run the command line."""
    try:
        app()
    except Exception:  # noqa: BLE001 - the last stop of whatever nobody foresaw
        traceback.print_exc()
        note("internal error: this is a defect of chfw-sr; please report it with the lines above")
        sys.exit(ExitCode.INTERNAL)
