"""A campaign that does not exist and one of others take the same statements: their difference does not show in time."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from chfw_sr.storage.store import SqlStore

from .estate import ELSEWHERE, FOREIGN, KINDS, UNKNOWN, Estate, bodies

READERS = ("11.5", "11.6", "11.7", "11.8", "11.9")
"""What a Supplier may ask about a campaign."""


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql_url")
    file = tmp_path / "estate.sqlite3"
    file.write_bytes(request.getfixturevalue("migrated_file").read_bytes())
    return f"sqlite+aiosqlite:///{file}"


@contextmanager
def statements(store: SqlStore) -> Iterator[list[str]]:
    """Catch every statement, without its values."""
    caught: list[str] = []

    def keep(_connection, _cursor, statement, *_) -> None:
        caught.append(statement)

    event.listen(store.database.engine.sync_engine, "before_cursor_execute", keep)
    try:
        yield caught
    finally:
        event.remove(store.database.engine.sync_engine, "before_cursor_execute", keep)


async def test_unknown_and_foreign_campaigns_take_the_same_statements(store) -> None:
    estate = await Estate(next(kind for kind in KINDS if kind.name == "IS"), store).populate()
    seen: dict[str, dict[str, list[str]]] = {srv: {} for srv in READERS}
    for turn in range(2):  # the first one fills caches
        for campaign in (UNKNOWN, FOREIGN, ELSEWHERE):
            for body in bodies(estate, campaign):
                if body.srv in READERS:
                    with statements(store) as caught:
                        await estate.send(estate.eui, body)
                    if turn:
                        seen[body.srv][campaign] = caught
    for srv, by_campaign in seen.items():
        assert by_campaign[UNKNOWN] == by_campaign[FOREIGN] == by_campaign[ELSEWHERE], srv
