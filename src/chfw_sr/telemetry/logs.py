"""The log: one line an event, on stderr, with what it concerns (RequestID, campaign) as fields of its own.

Configured once, for this package and for every library that logs through the standard library. Passwords in URLs are
taken out of the finished line, tracebacks included; control characters, which may come from outside, are shown as
escapes, so that nobody writes lines of his own.
"""

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog
from structlog.contextvars import get_contextvars
from structlog.typing import EventDict, Processor

from .redaction import redact

QUIET = ("aio_pika", "aiormq", "aiosqlite", "asyncio", "sqlalchemy", "alembic")
"""Libraries whose debug and info lines are for their developers."""


_OF_MANY_LINES = ("exception", "stack")
_OF_EVERY_RECORD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_ENCODE = json.JSONEncoder(default=str).encode


def configure_logging(level: str, *, as_json: bool, stream: TextIO | None = None) -> None:
    """Set up the log; what was set up before is replaced.

    Args:
        level: `debug`, `info`, `warning` or `error`: this and everything graver.
        as_json: one JSON object a line; else a line for people.
        stream: where to; stderr if absent.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_JsonLines() if as_json else _lines_for_people(stream))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Nothing that is written names threads, processes or tasks; so nobody needs to find them out for each line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    for name in QUIET:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))


class _JsonLines(logging.Formatter):
    """One JSON object a line. Written out by hand, since there is a line for each request: a fifth of the time."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            **get_contextvars(),
        }
        event |= {name: value for name, value in record.__dict__.items() if name not in _OF_EVERY_RECORD}
        at = datetime.fromtimestamp(record.created, UTC)
        event["timestamp"] = at.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            event["stack"] = record.stack_info
        return redact(_ENCODE(event))


def _lines_for_people(stream: TextIO) -> logging.Formatter:
    plain = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _escape,
            _redacted(plain),
        ],
    )


def _redacted(renderer: Processor) -> Callable[[Any, str, EventDict], str]:
    def render(logger: Any, name: str, event: EventDict) -> str:
        return redact(str(renderer(logger, name, event)))

    return render


def _escape(_logger: Any, _name: str, event: EventDict) -> EventDict:
    return {
        key: _visible(value, "\n\t" if key in _OF_MANY_LINES else "") if isinstance(value, str) else value
        for key, value in event.items()
    }


def _visible(text: str, kept: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        each
        if each.isprintable() or each in kept
        else each.encode("unicode_escape", "backslashreplace").decode("ascii")
        for each in text
    )
