"""The daily salt: the same for all who share the folder, another one tomorrow, gone within 48 hours."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from collector.policy.cookieless import hashed
from collector.process import daily_salt
from collector.process.daily_salt import DAY_MS, DailySalt, delete_expired, take

NOW = datetime.now(UTC)  # the folder's own clock cannot be set
NOON = (NOW.date() - date(1970, 1, 1)).days * DAY_MS + DAY_MS // 2


def named(days: int) -> str:
    """Return the name of the salt of a day, counted from today."""
    return (NOW.date() + timedelta(days=days)).isoformat()


TODAY, TOMORROW = named(0), named(1)


class Clock:
    def __init__(self) -> None:
        self.ms = NOON

    def __call__(self) -> int:
        return self.ms


def worker(folder: Path, clock: Clock, complaints: list[str] | None = None) -> DailySalt:
    return DailySalt(folder, clock, os.urandom, ([] if complaints is None else complaints).append)


def test_workers_agree_and_visitors_differ(tmp_path: Path) -> None:
    clock = Clock()
    one, two = worker(tmp_path / "salt", clock), worker(tmp_path / "salt", clock)
    visitor = one("shop", "203.0.113.9", "Firefox")
    assert visitor == two("shop", "203.0.113.9", "Firefox")
    assert len(visitor) == 32
    others = {
        one("blog", "203.0.113.9", "Firefox"),
        one("shop", "203.0.113.8", "Firefox"),
        one("shop", "203.0.113.9", "X"),
    }
    assert len(others | {visitor}) == 4


def test_midnight_changes_every_id(tmp_path: Path) -> None:
    clock = Clock()
    salt = worker(tmp_path, clock)
    before = salt("shop", "203.0.113.9", "Firefox")
    assert [path.name for path in tmp_path.iterdir()] == [TODAY]
    clock.ms += DAY_MS // 2 - 1
    assert salt("shop", "203.0.113.9", "Firefox") == before
    clock.ms += 1
    salt.forget()
    assert before not in (salt("shop", "203.0.113.9", "Firefox"), "")
    assert sorted(path.name for path in tmp_path.iterdir()) == [TODAY, TOMORROW]
    assert not salt.alone


def test_a_salt_lives_for_48_hours(tmp_path: Path) -> None:
    clock = Clock()
    clock.ms -= 2 * DAY_MS
    salt = worker(tmp_path, clock)
    salt("shop", "203.0.113.9", "Firefox")
    clock.ms += DAY_MS + DAY_MS // 2 - 1
    salt.forget()
    assert [path.name for path in tmp_path.iterdir()] == [named(-2)]
    clock.ms += 1
    salt.forget()
    assert list(tmp_path.iterdir()) == [], "no traffic is needed to delete it, and no probe is left"


@pytest.mark.parametrize("ahead_ms", [60_000, DAY_MS // 2, DAY_MS, 2 * DAY_MS, 400 * DAY_MS])
def test_a_host_whose_clock_is_ahead_deletes_no_salt_that_others_use(tmp_path: Path, ahead_ms: int) -> None:
    right, wrong = Clock(), Clock()
    wrong.ms += ahead_ms
    one, other = worker(tmp_path, right), worker(tmp_path, wrong)
    before = one("shop", "203.0.113.9", "Firefox")
    other("shop", "203.0.113.9", "Firefox")
    other.forget()
    one.forget()
    assert worker(tmp_path, right)("shop", "203.0.113.9", "Firefox") == before, "as a new worker reads it"


def test_a_file_system_with_the_hosts_own_wrong_clock_keeps_todays_salt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock a day ahead stamps the files, too."""
    clock = Clock()
    worker(tmp_path, clock)("a", "b", "c")
    monkeypatch.setattr(daily_salt, "_today_of", lambda _: NOW.date() + timedelta(days=1))
    clock.ms += DAY_MS
    worker(tmp_path, clock).forget()
    assert (tmp_path / TODAY).exists()


def test_the_fingerprint_tells_salts_apart_and_nothing_else(tmp_path: Path) -> None:
    clock = Clock()
    one, two, other = worker(tmp_path / "a", clock), worker(tmp_path / "a", clock), worker(tmp_path / "b", clock)
    assert one.fingerprint() == 0, "no salt is made for it where none is needed"
    assert not (tmp_path / "a").exists()
    ids = [salt("shop", "203.0.113.9", "Firefox") for salt in (one, two, other)]
    assert one.fingerprint() == two.fingerprint() != other.fingerprint()
    assert 0 < one.fingerprint() < 2**32
    assert f"{one.fingerprint():08x}" not in ids[0] + (tmp_path / "a" / TODAY).read_bytes().hex()
    clock.ms += DAY_MS
    one.forget()
    assert one.fingerprint() == 0


def test_a_restart_on_the_same_day_keeps_the_ids(tmp_path: Path) -> None:
    assert worker(tmp_path, Clock())("a", "b", "c") == worker(tmp_path, Clock())("a", "b", "c")


def test_of_many_makers_one_wins(tmp_path: Path) -> None:
    makers = 8
    start = Barrier(makers)

    def race(_: int) -> bytes:
        start.wait()
        return take(tmp_path / "salt", NOW.date(), os.urandom)

    with ThreadPoolExecutor(makers) as pool:
        assert len(set(pool.map(race, range(makers)))) == 1
    assert [path.name for path in (tmp_path / "salt").iterdir()] == [TODAY], "drafts are gone"


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    worker(tmp_path / "salt", Clock())("a", "b", "c")
    assert stat.S_IMODE((tmp_path / "salt").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "salt" / TODAY).stat().st_mode) == 0o600


def test_a_folder_filled_from_outside_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / TODAY).write_bytes(b"s" * 16)
    (tmp_path / TOMORROW).write_bytes(b"t" * 16)
    assert worker(tmp_path, Clock())("a", "b", "c") == hashed(b"s" * 16, "a", "b", "c")
    assert (tmp_path / TOMORROW).exists(), "tomorrow's may lie there early"


@pytest.mark.parametrize("content", [b"", b"short", b"s" * 17])
def test_a_salt_that_is_not_whole_is_not_used(tmp_path: Path, content: bytes) -> None:
    (tmp_path / TODAY).write_bytes(content)
    complaints: list[str] = []
    salt = worker(tmp_path, Clock(), complaints)
    assert salt("a", "b", "c") == salt("a", "b", "c")
    assert salt.alone
    assert len(complaints) == 1
    assert "not a salt" in complaints[0]


def test_without_a_folder_hits_are_not_lost(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    complaints: list[str] = []
    assert len(worker(tmp_path / "file" / "salt", Clock(), complaints)("a", "b", "c")) == 32
    assert complaints


def test_only_expired_salts_are_deleted(tmp_path: Path) -> None:
    for name in (named(-1), named(-2), "2025-01-01", TODAY, TOMORROW, "README", "..data"):
        (tmp_path / name).write_text("")
    delete_expired(tmp_path, NOW.date())
    assert {path.name for path in tmp_path.iterdir()} == {"..data", named(-1), TODAY, TOMORROW, "README"}
