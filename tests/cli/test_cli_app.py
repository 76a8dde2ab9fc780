import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chfw_sr import __version__, bootstrap
from chfw_sr.cli.app import EXIT_CODES, CommandError, ExitCode
from chfw_sr.service.ports import Unavailable
from chfw_sr.settings import PREFIX, TEST_PREFIX

HUB = "90-B3-D5-1F-30-A0-00-01"
INVENTORY = f"eui,manufacturer,model,firmware_version,region,status\n{HUB},Makers,X,1,North,Commissioned\n"


@pytest.fixture
def shell(tmp_path):
    """Runs the command line as its users do: in a process of its own, in an empty folder."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(PREFIX) or name.startswith(TEST_PREFIX)
    }

    def run(*arguments, stdin=b"", **environment):
        return subprocess.run(
            [sys.executable, "-m", "chfw_sr", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            check=False,
            cwd=tmp_path,
            env=inherited | environment,
        )

    return run


# ----------------------------------------------------------------------------------------------------- as its users do


def test_from_nothing_to_a_hub(shell, tmp_path):
    before = shell("inventory", "import", "-", stdin=INVENTORY.encode())
    assert before.returncode == ExitCode.USAGE
    assert b"chfw-sr migrate" in before.stderr
    assert b"Traceback" not in before.stderr
    assert shell("migrate").returncode == 0
    bad = shell("inventory", "import", "-", stdin=INVENTORY.replace("North", "Nord").encode())
    assert (bad.returncode, bad.stdout) == (ExitCode.NO, b"")
    assert b"-: line 2, field region: 'Nord'" in bad.stderr
    imported = shell("inventory", "import", "-", "--json", stdin=b"\xef\xbb\xbf" + INVENTORY.encode())
    assert json.loads(imported.stdout) == {"added": 1, "changed": 0, "unchanged": 0, "skipped": 0}
    shown = shell("hub", "show", HUB.lower(), "--json")
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert json.loads(shown.stdout)["manufacturer"] == "Makers"


def test_a_shell_completes_commands():
    environment = os.environ | {"_CHFW_SR_COMPLETE": "complete_bash", "COMP_WORDS": "chfw-sr camp", "COMP_CWORD": "1"}
    result = subprocess.run(
        [Path(sys.executable).with_name("chfw-sr")], env=environment, capture_output=True, check=True
    )
    assert result.stdout.split() == [b"campaign"]


def test_an_unknown_variable_is_refused(shell):
    result = shell("campaign", "list", CHFW_SR_DATABASE_ULR="x")
    assert (result.returncode, result.stdout) == (ExitCode.USAGE, b"")
    assert b"CHFW_SR_DATABASE_ULR; did you mean CHFW_SR_DATABASE_URL?" in result.stderr
    assert b"Traceback" not in result.stderr


def test_a_defect_is_loud_and_ends_with_four(shell, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import chfw_sr.campaign.transitions as t\ndef broken():\n    raise RuntimeError('oops')\nt.diagram = broken\n"
    )
    result = shell("stages", PYTHONPATH=str(tmp_path))
    assert (result.returncode, result.stdout) == (ExitCode.INTERNAL, b"")
    assert b"RuntimeError: oops" in result.stderr
    assert b"internal error" in result.stderr


# ------------------------------------------------------------------------------------------------------------ settings


def test_what_needs_no_settings_does_not_read_them(bare, monkeypatch):
    monkeypatch.setenv("CHFW_SR_DATABASE_ULR", "x")
    for arguments in (("--help",), ("migrate", "--help"), ("catalogue",), ("stages",)):
        assert bare(*arguments).exit_code == 0
    assert bare("migrate").exit_code == ExitCode.USAGE


def test_an_unknown_setting_in_the_file_is_refused(bare, tmp_path):
    (tmp_path / "chfw-sr.toml").write_text("bach_size = 3\n")
    result = bare("campaign", "list")
    assert result.exit_code == ExitCode.USAGE
    assert "bach_size" in result.stderr


def test_the_option_goes_before_the_environment_and_that_before_the_file(bare, tmp_path, monkeypatch):
    def url(name):
        return f"sqlite+aiosqlite:///{tmp_path}/{name}.sqlite3"

    def made():
        return sorted(path.stem for path in tmp_path.glob("*.sqlite3"))

    (tmp_path / "chfw-sr.toml").write_text(f'database_url = "{url("file")}"\n')
    monkeypatch.setenv("CHFW_SR_DATABASE_URL", url("environment"))
    assert bare("--database", url("option"), "migrate").exit_code == 0
    assert made() == ["option"]
    assert bare("migrate").exit_code == 0
    assert made() == ["environment", "option"]
    monkeypatch.delenv("CHFW_SR_DATABASE_URL")
    assert bare("migrate").exit_code == 0
    assert made() == ["environment", "file", "option"]


@pytest.mark.parametrize("url", ["nonsense", "mysql://x/y"])
def test_a_database_that_cannot_be_used(bare, url):
    for arguments in (("migrate",), ("campaign", "list")):
        result = bare("--database", url, *arguments)
        assert result.exit_code == ExitCode.USAGE
        assert result.stderr.startswith("error: settings: database_url: ")


# ------------------------------------------------------------------------------------------------------- exit and help


def test_version(bare):
    result = bare("--version")
    assert (result.exit_code, result.stdout) == (0, f"{__version__}\n")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (CommandError("no"), ExitCode.NO, "error: no"),
        (CommandError("wrong", ExitCode.USAGE), ExitCode.USAGE, "error: wrong"),
        (Unavailable("the database is down"), ExitCode.UNAVAILABLE, "the database is down; try again later"),
        (PermissionError(13, "Permission denied", "x.csv"), ExitCode.USAGE, "x.csv: Permission denied"),
    ],
)
def test_every_kind_of_error_has_its_exit_code(bare, monkeypatch, error, code, message):
    async def failing(_):
        raise error

    monkeypatch.setattr(bootstrap, "migrate", failing)
    result = bare("migrate")
    assert result.exit_code == code
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("error", [RuntimeError("defect"), OSError("no file in it"), BrokenPipeError(32, "pipe", "x")])
def test_what_is_not_the_users_fault_is_not_hidden(bare, monkeypatch, error):
    async def failing(_):
        raise error

    monkeypatch.setattr(bootstrap, "migrate", failing)
    result = bare("migrate")
    assert result.exit_code == 1
    assert "error:" not in result.stderr


def commands(typer_app, path=()):
    for entry in typer_app.registered_commands:
        yield (*path, entry.name or entry.callback.__name__)
    for group in typer_app.registered_groups:
        yield from commands(group.typer_instance, (*path, group.name))


def test_every_command_has_help_with_an_example_and_the_exit_codes(bare):
    from chfw_sr.cli import app

    found = list(commands(app))
    assert len(found) >= 20
    for path in found:
        shown = bare(*path, "--help")
        assert shown.exit_code == 0
        assert "Example:" in shown.stdout, path
        assert f"chfw-sr {' '.join(path)}" in shown.stdout.split("Example:")[1], path
        assert EXIT_CODES in " ".join(shown.stdout.split()), path


def test_wrong_usage_ends_with_two_on_stderr(bare):
    for arguments in ((), ("campain",), ("users",), ("hub", "show"), ("inbox", "list", "--limit", "0")):
        result = bare(*arguments)
        assert result.exit_code == ExitCode.USAGE, arguments
        assert result.stdout == "" or "Usage:" in result.stdout
