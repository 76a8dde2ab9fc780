"""Lines of the log."""

import io
import json
import logging
from datetime import UTC, datetime

import pytest
from structlog.contextvars import bound_contextvars

from chfw_sr.telemetry.logs import configure_logging


@pytest.fixture(autouse=True)
def restored():
    """Give the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fail(error: Exception):
    raise error


def test_a_line_is_one_json_object(stream) -> None:
    configure_logging("info", as_json=True, stream=stream)
    logging.getLogger("chfw_sr.x").info("took %d", 3, extra={"alerts": 2})
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "took 3", "level": "info", "logger": "chfw_sr.x", "alerts": 2}


def test_a_line_holds_what_json_has_no_word_for_and_where_it_was_written(stream) -> None:
    configure_logging("info", as_json=True, stream=stream)
    logging.getLogger("x").info("here", extra={"at": datetime(2027, 1, 4, 9, tzinfo=UTC)}, stack_info=True)
    (line,) = lines(stream)
    assert line["at"] == "2027-01-04 09:00:00+00:00"
    assert "test_logs.py" in line["stack"]


def test_it_says_what_it_concerns(stream) -> None:
    configure_logging("info", as_json=True, stream=stream)
    with bound_contextvars(request_id="a:b:1", campaign_id="C1"):
        logging.getLogger("any.library").warning("hm")
    logging.getLogger("any.library").warning("hm")
    first, second = lines(stream)
    assert (first["request_id"], first["campaign_id"]) == ("a:b:1", "C1")
    assert "request_id" not in second


@pytest.mark.parametrize("as_json", [True, False])
def test_passwords_are_taken_out_of_message_fields_and_traceback(stream, as_json) -> None:
    configure_logging("info", as_json=as_json, stream=stream)
    try:
        fail(OSError("cannot reach postgresql://u:secret@h/n"))
    except OSError:
        logging.getLogger("x").exception("amqp://u:secret@h failed", extra={"url": "amqps://u:secret@h"})
    assert "secret" not in stream.getvalue()
    assert stream.getvalue().count("u:***@h") == 4, "message, field, and the traceback's source line and message"
    assert "Traceback" in stream.getvalue()


@pytest.mark.parametrize("as_json", [True, False])
def test_nobody_writes_lines_of_his_own(stream, as_json) -> None:
    configure_logging("info", as_json=as_json, stream=stream)
    hostile = "bad\n2027-01-04 [info] all is well\x1b[2J"
    logging.getLogger("x").info("refused: %s", hostile, extra={"reason": hostile})
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b[2J" not in stream.getvalue()


def test_a_line_for_people_keeps_its_traceback_readable(stream) -> None:
    configure_logging("info", as_json=False, stream=stream)
    try:
        fail(ValueError("why"))
    except ValueError:
        logging.getLogger("x").exception("oops")
    assert len(stream.getvalue().splitlines()) > 3
    assert "ValueError: why" in stream.getvalue().splitlines()[-1]


@pytest.mark.parametrize(("level", "seen"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_the_level_decides_what_is_said(stream, level, seen) -> None:
    configure_logging(level, as_json=True, stream=stream)
    logger = logging.getLogger("chfw_sr.level")
    logger.debug("a")
    logger.info("b")
    logger.warning("c")
    assert len(lines(stream)) == seen


def test_libraries_are_quiet_unless_it_is_grave(stream) -> None:
    configure_logging("info", as_json=True, stream=stream)
    logging.getLogger("aio_pika.connection").info("chatter")
    logging.getLogger("aio_pika.connection").error("grave")
    assert [line["event"] for line in lines(stream)] == ["grave"]


def test_it_can_be_configured_anew(stream) -> None:
    configure_logging("info", as_json=True, stream=io.StringIO())
    configure_logging("info", as_json=True, stream=stream)
    logging.getLogger("x").info("once")
    assert len(lines(stream)) == 1
