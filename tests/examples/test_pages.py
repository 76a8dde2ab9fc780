"""The commands and programs of the pages for adapters, subscribers and operations are run as they stand."""

import asyncio
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from chfw_sr.messages import SRV
from chfw_sr.settings import PREFIX, TEST_PREFIX
from chfw_sr.wire.pki import certificate_pem
from tests.client.parts import DCC_CERTIFICATE, SUPPLIER, activation, alert_octets
from tests.client.test_client import Clerk

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("supplier-adapter.md", "alert-subscriber.md", "operations.md")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and the indented lines after it: what it prints."""

    page: str
    kind: str
    code: str
    printed: str


def blocks(kind: str) -> list:
    """Give the blocks of a kind, as parameters."""
    found = []
    for page in PAGES:
        text = (ROOT / "docs" / page).read_text("utf-8")
        for match in re.finditer(r"^```(.+)\n((?s:.*?))^```\n(?:\n((?:    .*\n)+))?", text, re.MULTILINE):
            if match[1] == kind:
                printed = re.sub(r"^    ", "", match[3] or "", flags=re.MULTILINE)
                found.append(pytest.param(Block(page, kind, match[2], printed), id=f"{page}-{len(found)}"))
    assert found
    return found


@pytest.fixture
def shell(tmp_path):
    """Runs a script where this repository's examples are, with no settings of the developer's own."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(PREFIX) or name.startswith(TEST_PREFIX)
    }
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"

    async def run(script: str, *command: str, **more: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *command,
            script,
            cwd=tmp_path,
            env=environment | more,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return output.decode()

    return run


@pytest.mark.parametrize("page", PAGES)
def test_a_page_begins_with_a_task_and_a_command(page):
    lines = (ROOT / "docs" / page).read_text("utf-8").splitlines()
    assert lines[2].startswith("The task: ")
    assert "```sh" in lines[:8]


@pytest.mark.parametrize("block", blocks("sh"))
async def test_commands_print_what_the_page_says(shell, block):
    assert await shell(block.code, "bash", "-euc") == block.printed


@pytest.mark.parametrize("block", blocks("python"))
async def test_programs_run(shell, block):
    assert "N904" in await shell(block.code, sys.executable, "-c")


@pytest.mark.rabbitmq
@pytest.mark.parametrize("block", blocks("sh rabbitmq"))
async def test_commands_run_against_rabbitmq(shell, block, rabbit_desk, tmp_path):
    await shell(block.code, "bash", "-euc", CHFW_SR_AMQP_URL=rabbit_desk.bus.server.url.geturl())
    assert SRV.READ_PILOT_PLAN.encode() in await Clerk(rabbit_desk).next()
    assert (tmp_path / "request.xml").read_bytes().startswith(b"<sr:Request ")


@pytest.mark.rabbitmq
@pytest.mark.parametrize("block", blocks("sh rabbitmq-follow"))
async def test_commands_that_follow_print_what_comes(shell, block, rabbit_desk, tmp_path):
    (tmp_path / "dcc.pem").write_bytes(certificate_pem(DCC_CERTIFICATE))
    url = rabbit_desk.bus.server.url.geturl()
    running = asyncio.create_task(shell(block.code, "bash", "-euc", CHFW_SR_AMQP_URL=url))
    while not running.done():
        await rabbit_desk.put(alert_octets(activation(1), 1))
        await asyncio.wait({running}, timeout=0.2)
    assert f'"id": "90-B3-D5-1F-30-00-00-02:{SUPPLIER}:1"' in await running
