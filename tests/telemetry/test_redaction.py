"""Passwords in URLs are not shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chfw_sr.telemetry.redaction import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+asyncpg://u:secret@h:5432/n", "postgresql+asyncpg://u:***@h:5432/n"),
        ("cannot reach amqps://u:s%40cret@h/v: refused", "cannot reach amqps://u:***@h/v: refused"),
        ("AMQP://u:p@ss@h/", "AMQP://u:***@h/"),
        ("amqp://:secret@h", "amqp://:***@h"),
        ('{"url": "amqp://u:secret@h"}', '{"url": "amqp://u:***@h"}'),
        ("a://u:one@h and b://u:two@h", "a://u:***@h and b://u:***@h"),
        ("postgresql://h/n?user=u&password=secret&ssl=require", "postgresql://h/n?user=u&password=***&ssl=require"),
        ("postgresql://h/n?password=secret", "postgresql://h/n?password=***"),
    ],
)
def test_passwords_are_taken_out(text, shown) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "amqp://host:5672/vhost",
        "amqp://user@host/",
        "90-B3-D5-1F-30-01-00-00:90-B3-D5-1F-30-00-00-02:7",
        "at 12:30 somebody@example wrote",
        "http://host:80/path@x",
        "http://www.dccinterface.co.uk/ServiceUserGateway",
    ],
)
def test_other_text_is_left_as_it_is(text) -> None:
    assert redact(text) == text


@given(
    st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1),
    st.text(st.characters(codec="ascii", exclude_characters="/?#'\" \t\r\n\x0b\x0c\x1c\x1d\x1e\x1f"), min_size=1),
)
def test_whatever_the_password_it_is_gone(user, password) -> None:
    assert redact(f"<< amqp://{user}:{password}@host/v >>") == f"<< amqp://{user}:***@host/v >>"
