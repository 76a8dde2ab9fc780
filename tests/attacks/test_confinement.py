"""No hostile document makes the intake open a file or a connection, or take memory or CPU out of proportion."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFINED = [sys.executable, "-m", "tests.attacks.confined"]

COUNTED = """
import socket, subprocess, sys
def counts():
    lines = [line.split() for line in open("/proc/net/snmp")]
    tables = zip(lines[::2], lines[1::2])
    found = {head[0] + name: int(value) for head, row in tables for name, value in zip(head[1:], row[1:])}
    return found["Tcp:ActiveOpens"] + found["Tcp:AttemptFails"] + found["Udp:OutDatagrams"]
before = counts()
status = subprocess.run(sys.argv[1:]).returncode
after = counts()
try:
    socket.create_connection(("127.0.0.1", 1), timeout=1)
except OSError:
    pass
print(f"\\n{before} {after} {counts()}")
sys.exit(status)
"""
"""Run a command and print how many connections and datagrams this network had: before, after, and after one more."""


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "bait").write_bytes(b"<x/>")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def judge(text: str) -> None:
    found = json.loads(text)
    assert found["watching"], "the watch saw nothing when it should have"
    assert found["documents"] > 60
    assert (found["wrong"], found["events"], found["touched"]) == ([], [], False)


def namespace_problem() -> str | None:
    """Tell why no network namespace can be made here; None if one can."""
    unshare = shutil.which("unshare")
    if sys.platform != "linux" or unshare is None:
        return "there is no unshare(1)"
    done = subprocess.run([unshare, "--net", "--map-root-user", "true"], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"no network namespace may be made: {done.stderr.strip()}"


def in_its_own_network(folder: Path) -> None:
    up = 'ip link set lo up 2>/dev/null || true; exec "$@"'
    command = ["unshare", "--net", "--map-root-user", "sh", "-c", up, "sh", sys.executable, "-c", COUNTED]
    done = run([*command, *CONFINED, str(folder), "1"], folder)
    assert done.returncode == 0, done.stderr[-2000:]
    text, counts = done.stdout.rsplit("\n", 2)[:2]
    judge(text)
    before, after, control = map(int, counts.split())
    assert after == before
    assert control > after  # one that is made is counted


def beside_a_listener(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        done = run([*CONFINED, str(folder), str(listening.getsockname()[1])], folder)
        assert done.returncode == 0, done.stderr[-2000:]
        judge(done.stdout)
        with pytest.raises(BlockingIOError):  # nobody called
            listening.accept()


@pytest.mark.skipif(sys.platform != "linux", reason="files are watched with inotify, memory is bounded by the kernel")
def test_nothing_is_opened_nobody_is_called_and_nothing_grows_out_of_proportion(tmp_path):
    problem = namespace_problem()
    if problem is None:
        in_its_own_network(tmp_path)
        return
    beside_a_listener(tmp_path)
    if os.environ.get("CHFW_SR_TEST_REQUIRE_SERVERS") == "1":
        pytest.fail(problem, pytrace=False)
    pytest.skip(f"shown with a watched port instead of a network namespace: {problem}")
