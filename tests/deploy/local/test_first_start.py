"""What `make run` makes for itself at the first start, and what `make clean-data` deletes."""

import fcntl
import os
import stat
from hashlib import sha256
from pathlib import Path

import pytest

from collector.policy import link_file, sites
from deploy.local import clean, first_start
from loadtest.check import local_system

PAGE = "http://localhost:4711"


def test_the_files_are_good_and_belong_together(tmp_path: Path) -> None:
    first_start.make_files(tmp_path, PAGE)
    known = sites.parse((tmp_path / "sites.toml").read_bytes())
    links = link_file.parse((tmp_path / "links.toml").read_bytes(), known)
    token = (tmp_path / "token").read_text().strip()
    digest = sha256(token.encode()).hexdigest()
    assert {key: site.tokens for key, site in known.items()} == {"demo": (digest,), "load": (digest,)}
    assert known["demo"].origins == (PAGE, "http://127.0.0.1:8088")
    assert {code: (link.site, link.to) for code, link in links.items()} == {
        "video": ("demo", f"{PAGE}/"),
        "load-test": ("load", f"{PAGE}/landing"),
    }
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    first_start.make_key(tmp_path)
    first_start.make_files(tmp_path, PAGE)
    (tmp_path / "links.toml").write_text("# my own\n")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    first_start.make_key(tmp_path)
    first_start.make_files(tmp_path, "http://localhost:1")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_load_test_finds_its_site_and_token(tmp_path: Path) -> None:
    plain = local_system.System(url="", clickhouse="", admins=())
    assert local_system.with_files(plain, tmp_path) == plain
    first_start.make_files(tmp_path, PAGE)
    found = local_system.with_files(plain, tmp_path)
    assert (found.site, found.link, found.files) == ("load", "load-test", str(tmp_path))
    assert found.token == (tmp_path / "token").read_text().strip()
    (tmp_path / "sites.toml").write_text("[sites.demo]\n")
    assert local_system.with_files(plain, tmp_path).site == ""


def test_clean_deletes_what_is_stored_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"PHAROS_LOCAL_DIR": str(tmp_path / "var")}
    assert clean.main([], environ) == 0
    folder = tmp_path / "var"
    folder.mkdir()
    first_start.make_key(folder)
    first_start.make_files(folder, PAGE)
    (folder / "load.html").touch()
    kept = {path.name for path in folder.iterdir()}
    for name in clean.STORED:
        (folder / name / "deep").mkdir(parents=True)
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert clean.main([], environ) == 2
    assert "stop `make run` first" in capsys.readouterr().err
    assert (folder / "spool" / "deep").is_dir()
    os.close(lock)
    assert clean.main([], environ) == 0
    assert {path.name for path in folder.iterdir()} == kept | {".lock"}
