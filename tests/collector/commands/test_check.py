"""`python -m collector check`: files are judged as the collector judges them, before it uses them."""

from pathlib import Path

import pytest

from collector.commands import check

SITES = "[sites.shop]\n[sites.blog]\n"
LINKS = "[links.a]\nsite = 'shop'\nto = 'https://shop.example/'\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sites.toml").write_text(SITES)
    (tmp_path / "links.toml").write_text(LINKS)
    return tmp_path


def test_good_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sites, links = str(folder / "sites.toml"), str(folder / "links.toml")
    environ = {"PHAROS_COLLECTOR_SITES": sites, "PHAROS_COLLECTOR_LINKS": links}
    assert check.main([sites, links], {}) == 0
    assert check.main([], environ) == 0
    assert check.main([sites], {}) == 0
    assert capsys.readouterr().out.splitlines() == ["good: 2 sites, 1 links", "good: 2 sites, 1 links", "good: 2 sites"]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("sites.toml", "[sites.shop]\nip = 'x'\n", "line 2: site 'shop'"),
        ("sites.toml", "[sites.blog]\n", "line 1: link 'a': site 'shop' is not in"),
        ("links.toml", "[links.a]\n", "line 1"),
    ],
)
def test_a_broken_file_is_named_with_its_line(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, reason: str
) -> None:
    (folder / name).write_text(text)
    assert check.main([str(folder / "sites.toml"), str(folder / "links.toml")], {}) == 1
    err = capsys.readouterr().err
    assert reason in err
    assert len(err.splitlines()) == 1


def test_nothing_to_check_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([], {}) == 2
    assert "PHAROS_COLLECTOR_SITES" in capsys.readouterr().err


def test_own_paths_are_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sites = str(folder / "sites.toml")
    assert check.main([sites], {"PHAROS_COLLECTOR_PATHS": "t.js=shop.js, e=save"}) == 0
    assert capsys.readouterr().out == "good: 2 sites, 2 own paths\n"
    assert check.main([sites], {"PHAROS_COLLECTOR_PATHS": "e=c"}) == 1
    assert capsys.readouterr().err == "PHAROS_COLLECTOR_PATHS: 'c' is taken\n"
