"""Cache, brake, settings, geo file: the small parts, each by its promise."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote_to_bytes

import maxminddb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from enricher.mmdb import MmdbFile
from enricher.rules.cache import _ENTRY_BYTES, Cache, Memory
from enricher.rules.url import decode
from enricher.settings import read
from enricher.sites_file import SitesFile
from enricher.stream.brake import Brake
from enricher.tables import load_enricher, open_mmdb
from tests.enricher.rules.mmdb import write


def test_a_cache_computes_once_and_stays_within_its_bounds() -> None:
    asked: list[int] = []

    def double(number: int) -> int:
        asked.append(number)
        return 2 * number

    cache = Cache(double, entries=100, max_bytes=1 << 20, size=lambda _: 8)
    assert [cache[1], cache[1], cache[2]] == [2, 2, 4]
    assert asked == [1, 2]
    for number in range(10_000):
        assert cache[number] == 2 * number
        assert cache[1] == 2
        assert cache.held <= 100
    assert asked.count(1) == 1, "what is asked for again is not forgotten"
    assert cache.misses == len(asked)


def test_a_cache_is_bounded_by_bytes_and_keeps_no_giants() -> None:
    cache = Cache(len, entries=1_000_000, max_bytes=100_000, size=len, max_key_bytes=1_000)
    for number in range(1_000):
        assert cache[f"{number:0>900}"] == 900
    assert cache.held * 900 <= 100_000
    assert cache["x" * 2_000] == 2_000
    assert cache.recall("x" * 2_000) is None
    cache.forget()
    assert cache.held == 0


@given(st.lists(st.lists(st.integers(0, 12), max_size=9), max_size=30), st.integers(2, 12))
def test_many_are_answered_as_one_by_one(batches: list[list[int]], entries: int) -> None:
    one_by_one: Cache[int, int] = Cache(lambda number: 2 * number, entries=entries, max_bytes=1 << 20, size=lambda _: 8)
    together: Cache[int, int] = Cache(lambda number: 2 * number, entries=entries, max_bytes=1 << 20, size=lambda _: 8)

    def double_all(numbers: Sequence[int]) -> list[int]:
        assert len(set(numbers)) == len(numbers), "each once"
        assert not set(numbers) & known, "what is remembered is not computed again"
        return [2 * number for number in numbers]

    for batch in batches:
        known = set(together._young)
        assert together.all_of(batch, double_all) == [one_by_one[number] for number in batch]
        assert together.held <= entries
        assert together._bytes == len(together._young) * (8 + _ENTRY_BYTES), "each is counted once"


def test_many_are_answered_from_the_old_generation_too() -> None:
    cache: Cache[int, int] = Cache(lambda number: 2 * number, entries=4, max_bytes=1 << 20, size=lambda _: 8)
    assert [cache[1], cache[2], cache[3]] == [2, 4, 6]
    assert 1 not in cache._young
    assert cache.all_of([1, 3, 1], lambda new: pytest.fail(f"computed again: {new}")) == [2, 6, 2]
    assert cache.misses == 3


def test_a_memory_recalls_what_was_kept_and_moves_what_is_asked_for() -> None:
    memory: Memory[int, str] = Memory(entries=4, max_bytes=1 << 20, size=lambda number: number, max_key_bytes=50)
    assert memory.recall(1) is None
    for number in (1, 2, 3):
        memory.keep(number, str(number))
    assert 1 not in memory._young, "of the old generation"
    assert [memory.recall(number) for number in (3, 1, 4)] == ["3", "1", None]
    assert 1 in memory._young, "asked for: of the young one again"
    memory.keep(51, "too long")
    assert memory.recall(51) is None
    assert memory.misses == 4
    memory.remember_nothing()
    memory.keep(1, "1")
    assert memory.recall(1) is None


def test_what_comes_once_is_not_worth_remembering() -> None:
    asked: list[int] = []

    def same(number: int) -> int:
        asked.append(number)
        return number

    cache = Cache(same, entries=9, max_bytes=1 << 20, size=lambda _: 8, recurs=True)
    often, once = 1 << 20 | 7, 2 << 20 | 8
    assert [cache[often], cache[once], cache[often], cache[often]] == [often, once, often, often]
    assert asked == [often, once, often], "remembered from the second time on"
    assert cache.held == 1
    assert cache.all_of([once], lambda new: [*new]) == [once]
    assert cache.held == 2


@given(st.text(alphabet="%0123456789ABDEFabcdf:/?=& +é\u20ac", max_size=40))
@example("%253A%2%46%%3A3A")
def test_escapes_are_undone_from_left_to_right_each_once(text: str) -> None:
    raw = unquote_to_bytes(text)
    try:
        expected = raw.decode()
    except UnicodeDecodeError:
        expected = raw.decode("cp1252", "replace")
    assert decode(text) == expected


def test_the_brake_wants_a_full_window() -> None:
    brake = Brake(ratio=0.5, window=100)
    assert brake.add(99, 99) == ""
    assert "dead" in brake.add(1, 1)


def test_the_brake_forgets_what_is_past() -> None:
    brake = Brake(ratio=0.5, window=100)
    for _ in range(10):
        assert brake.add(100, 0) == ""
    assert brake.add(49, 49) == ""
    assert brake.add(51, 51) != ""


def test_a_few_dead_hits_do_not_brake() -> None:
    brake = Brake(ratio=0.5, window=100)
    assert not any(brake.add(10, 5) for _ in range(1_000))


def test_settings_come_from_the_environment() -> None:
    settings = read({"PHAROS_ENRICHER_KAFKA": "a:1,b:2", "PHAROS_ENRICHER_ADMIN_PORT": "0", "HOME": "/"})
    assert (settings.kafka, settings.admin_port, settings.topic_raw) == ("a:1,b:2", 0, "hits.raw")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PHAROS_ENRICHER_KAFAK", "x"),
        ("PHAROS_ENRICHER_ADMIN_PORT", "70000"),
        ("PHAROS_ENRICHER_ADMIN_PORT", "tcp://10.0.0.1:9101"),
        ("PHAROS_ENRICHER_DELIVERY", "twice"),
        ("PHAROS_ENRICHER_BRAKE_RATIO", "2"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: "):
        read({name: value})


def test_a_geo_file_answers_and_is_opened_anew_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "geo.mmdb"
    write(path, {"203.0.113.0/24": {"country": {"iso_code": "AT"}, "subdivisions": [{"iso_code": "9"}]}})
    places = MmdbFile(path)
    assert places.find("203.0.113.7") == ("AT", "9", "")
    assert places.find("198.51.100.1") == ("", "", "")
    assert places.find("nonsense") == ("", "", "")
    assert places.reload() is False

    fresh = tmp_path / "fresh.mmdb"
    write(fresh, {"203.0.113.0/24": {"country": {"iso_code": "DE"}, "city": {"names": {"en": "Berlin"}}}})
    fresh.replace(path)
    assert places.reload() is True
    assert places.find("203.0.113.7") == ("DE", "", "Berlin")


def test_a_broken_geo_file_never_replaces_a_good_one(tmp_path: Path) -> None:
    path = tmp_path / "geo.mmdb"
    write(path, {"203.0.113.0/24": {"country": {"iso_code": "AT"}}})
    places = MmdbFile(path)
    broken = tmp_path / "broken.mmdb"
    broken.write_bytes(b"no such format")
    broken.replace(path)
    with pytest.raises(maxminddb.InvalidDatabaseError):
        places.reload()
    assert places.find("203.0.113.7").country == "AT"


def test_the_cdns_country_stands_before_the_file(tmp_path: Path) -> None:
    from collector.contract import Hit
    from enricher.contract import decode_row

    path = tmp_path / "geo.mmdb"
    write(path, {"203.0.113.0/24": {"country": {"iso_code": "AT"}}})
    enricher = load_enricher(open_mmdb(str(path)))
    hit = Hit(id="0" * 32, at=1, kind="pixel", site="shop", ip="203.0.113.0")
    by_file = enricher.enrich(hit)
    by_header = enricher.enrich(Hit(id="0" * 32, at=1, kind="pixel", site="shop", ip="203.0.113.0", geo_country="CH"))
    by_nonsense = enricher.enrich(Hit(id="0" * 32, at=1, kind="pixel", site="shop", ip="203.0.113.0", geo_country="XX"))
    countries = [decode_row(row).country for row in (by_file, by_header, by_nonsense) if isinstance(row, bytes)]
    assert countries == ["AT", "CH", "AT"]


def test_a_sites_file_is_read_again_after_a_change_and_a_broken_one_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "sites.toml"
    path.write_text("[sites.shop]\nhosts = ['a.example']\n")
    sites = SitesFile(path)
    assert not sites.reload()
    path.write_text("[sites.shop]\nhosts = ['a.example', 'b.example']\n")
    assert sites.reload()
    assert sites.own_hosts["shop"].contains("b.example")
    path.write_text("[sites.shop]\nhosts = [")
    with pytest.raises(ValueError, match="at end of document"):
        sites.reload()
    assert sites.own_hosts["shop"].contains("b.example")
    path.write_text("[sites.shop]\n")
    assert sites.reload()
    assert sites.own_hosts == {}
