"""A nation is the same for the same seed, and its files are what every service takes."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from chfw_sr.messages import EUI, HubStatus, Region
from chfw_sr.service.registration import read_inventory, read_users
from chfw_sr.simulation import Nation, Size, prepare, read_prepared
from chfw_sr.simulation.nation import CHUNK, hub_eui

DCC = EUI("90-B3-D5-1F-30-00-00-02")
TODAY = datetime(2027, 1, 4, tzinfo=UTC)


def hubs(nation: Nation) -> list:
    return [hub for chunk in nation.hubs() for hub in chunk]


def test_the_same_seed_makes_the_same_nation() -> None:
    one, other = Nation(7, Size(300)), Nation(7, Size(300))
    assert hubs(one) == hubs(other) == hubs(one)
    assert one.users == other.users
    assert hubs(Nation(8, Size(300))) != hubs(one)


def test_hubs_come_in_order_of_eui_and_each_once() -> None:
    found = [hub.eui for hub in hubs(Nation(1, Size(CHUNK + 3)))]
    assert len(found) == CHUNK + 3
    assert found == sorted(set(found))
    assert found[-1] == hub_eui(CHUNK + 2)


def test_it_is_a_believable_nation() -> None:
    nation = Nation(1, Size(5000, suppliers=10))
    found = hubs(nation)
    share = Counter(hub.import_supplier for hub in found)
    assert [eui for eui, _ in share.most_common(3)] == [each.eui for each in nation.suppliers[:3]]
    assert {hub.region for hub in found} == set(Region)
    assert 0 < sum(hub.gas_supplier is None for hub in found) < 2000
    assert 0 < sum(hub.status is not HubStatus.COMMISSIONED for hub in found) < 500
    assert len({each.name for each in Nation(1, Size(1, suppliers=200)).suppliers}) == 200


@pytest.mark.parametrize("size", [{"hubs": 0}, {"suppliers": 0}, {"suppliers": 201}, {"regions": 0}, {"regions": 4}])
def test_a_size_that_cannot_be_is_refused(size) -> None:
    with pytest.raises(ValueError, match="at least 1 hub"):
        Size(**size)


def test_its_files_are_read_by_every_service(tmp_path) -> None:
    nation = Nation(3, Size(CHUNK + 10, suppliers=3, regions=2))
    written = []
    prepare(tmp_path, nation, DCC, TODAY, written.append)
    assert written == [CHUNK, CHUNK + 10]
    records = read_users(tmp_path / "users.toml")
    assert {record.user for record in records} == set(nation.users)
    assert all(len(record.certificates) == 1 for record in records)
    with (tmp_path / "inventory.csv").open(encoding="utf-8", newline="") as lines:
        chunks = list(read_inventory(lines, "inventory.csv"))
    assert not any(chunk.problems for chunk in chunks)
    assert [hub for chunk in chunks for hub in chunk.hubs] == hubs(nation)
    prepared = read_prepared(tmp_path)
    assert (prepared.nation.seed, prepared.nation.size) == (3, nation.size)
    assert prepared.signers.keys() == {user.eui for user in nation.users}
    assert (tmp_path / "dcc.key.pem").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("", "seed"), ("seed = 1\nhubs = 0\n", "at least 1"), ("seed = 1\nwhat = 2\n", "what"), ("[[[", "line 1")],
)
def test_a_folder_that_is_none_is_refused(tmp_path, text, complaint) -> None:
    (tmp_path / "nation.toml").write_text(text)
    with pytest.raises(ValueError, match=complaint):
        read_prepared(tmp_path)
