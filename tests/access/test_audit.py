"""The audit of dependencies fails when it could not audit: played with stand-ins for the auditor."""

import subprocess
from pathlib import Path

import pytest

AUDIT = Path(__file__).resolve().parents[2] / ".ci" / "audit.sh"
KNOWS = """echo '{"dependencies": [{"name": "jinja2", "vulns": [{"id": "PYSEC-2019-217"}]}]}'; exit 1"""
KNOWS_NOTHING = """echo '{"dependencies": [{"name": "jinja2", "vulns": []}]}'; exit 0"""
OFFLINE = "echo 'could not connect' >&2; exit 1"


@pytest.mark.parametrize(
    ("of_the_canary", "of_ours", "code"),
    [
        (KNOWS, "exit 0", 0),
        (KNOWS, "exit 1", 1),
        (KNOWS_NOTHING, "exit 0", 2),
        (OFFLINE, "exit 0", 2),
        ("exit 0", "exit 0", 2),
    ],
)
def test_it_passes_only_if_the_service_knows_what_it_must(tmp_path, of_the_canary, of_ours, code) -> None:
    auditor = tmp_path / "auditor"
    auditor.write_text(f'#!/bin/sh\ncase "$*" in *lock.txt*) {of_ours};; esac\n{of_the_canary}\n')
    auditor.chmod(0o755)
    done = subprocess.run([AUDIT, auditor, "lock.txt", "other-lock.txt"], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert ("NOT AUDITED" in done.stderr) is (code == 2)


def test_one_bad_file_is_enough_wherever_it_stands(tmp_path) -> None:
    auditor = tmp_path / "auditor"
    auditor.write_text(f'#!/bin/sh\ncase "$*" in *bad.txt*) exit 1;; *good.txt*) exit 0;; esac\n{KNOWS}\n')
    auditor.chmod(0o755)
    for files in (("bad.txt", "good.txt"), ("good.txt", "bad.txt")):
        assert subprocess.run([AUDIT, auditor, *files], capture_output=True, check=False).returncode == 1
