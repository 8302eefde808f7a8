"""`python -m collector site` and `link add|list`: what changes in the files, and what never does."""

import stat
import threading
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.commands import link, site, toml_file
from collector.commands.toml_file import CannotEdit
from collector.policy import link_file, sites

SITES = """# Our sites. Ask Kim before you change one.

[sites.shop]  # the shop
consent = "required"   # lawyers
origins = [
    "https://shop.example",  # live
]

# The blog keeps no cookie.
[sites.blog]
identity = "cookieless"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sites.toml"
    path.write_text(SITES)
    path.chmod(0o640)
    return path


def test_a_site_is_added_and_the_rest_stays(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["add", "news.at", "--identity", "none", "--origin", "https://news.example", "--host", "news.example"]
    argv += ["--time-zone", "Europe/Vienna"]
    assert site.main([*argv, "--base", "https://px.example.com/"], {"PHAROS_COLLECTOR_SITES": str(file)}) == 0
    text = file.read_text()
    assert text.startswith(SITES), "every line and comment that was there"
    found = sites.parse(text.encode())["news.at"]
    assert (found.identity, found.consent, found.origins, found.hosts) == (
        "none",
        "required",
        ("https://news.example",),
        ("news.example",),
    )
    assert found.time_zone == "Europe/Vienna"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert list(file.parent.iterdir()) == [file], "no file of ours is left"
    out = capsys.readouterr().out
    assert 'src="https://px.example.com/t.js" data-site="news.at"' in out


def test_the_first_site_makes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sites.toml"
    assert site.main(["add", "shop", "--sites", str(path)], {}) == 0
    assert list(sites.parse(path.read_bytes())) == ["shop"]


def test_a_token_is_shown_once_and_its_digest_kept(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"PHAROS_COLLECTOR_SITES": str(file)}
    assert site.main(["token", "shop"], environ) == 0
    first = capsys.readouterr().out.strip()
    assert site.main(["token", "shop"], environ) == 0
    second = capsys.readouterr().out.strip()
    digests = tuple(sha256(one.encode()).hexdigest() for one in (first, second))
    assert sites.parse(file.read_bytes())["shop"].tokens == digests
    assert first not in file.read_text()
    for line in SITES.splitlines():
        assert line in file.read_text(), "comments stay"
    assert site.main(["token", "shop", "--replace"], environ) == 0
    third = capsys.readouterr().out.strip()
    assert sites.parse(file.read_bytes())["shop"].tokens == (sha256(third.encode()).hexdigest(),)
    assert site.main(["list"], environ) == 0
    assert "shop" in (listed := capsys.readouterr().out)
    assert "tokens=1" in listed
    assert third not in listed


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["add", "shop"], "[sites.shop] exists already"),
        (["add", "Shop"], "site key 'Shop' must be"),
        (["add", "new", "--origin", "https://shop.example/"], "an origin as browsers send it"),
        (["add", "new", "--host", "Shop.example"], "a host in lower case"),
        (["token", "nowhere"], "there is no site 'nowhere'"),
    ],
)
def test_a_refusal_changes_nothing(
    file: Path, capsys: pytest.CaptureFixture[str], argv: list[str], reason: str
) -> None:
    assert site.main([*argv, "--sites", str(file)], {}) == 1
    err = capsys.readouterr().err
    assert reason in err
    assert len(err.splitlines()) == 1
    assert file.read_text() == SITES


def test_a_broken_file_is_not_edited(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in (SITES + "ip = 'x'\n", SITES + "[sites\n", "sites = 3\n"):
        file.write_text(text)
        assert site.main(["add", "new", "--sites", str(file)], {}) == 1
        assert file.read_text() == text
        assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("text", ["sites = {shop = {}}\n", "sites.shop = {}\n", "[sites]\nshop = {ip = 'none'}\n"])
def test_any_form_of_toml_is_edited_or_refused(file: Path, text: str) -> None:
    file.write_text(text)
    for argv in (["add", "new"], ["token", "shop"]):
        before = file.read_text()
        code = site.main([*argv, "--sites", str(file)], {})
        known = sites.parse(file.read_bytes())
        assert "shop" in known
        assert code == 0 or file.read_text() == before
        assert code == 1 or "new" in known or known["shop"].tokens


def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.main(["add", "shop", "--sites", str(tmp_path / "no" / "sites.toml")], {}) == 1
    assert "not changed: No such file" in capsys.readouterr().err
    assert site.main(["list", "--sites", str(tmp_path / "none.toml")], {}) == 1
    assert site.main(["list"], {}) == 2


def test_a_symbolic_link_stays_one(file: Path) -> None:
    alias = file.with_name("alias.toml")
    alias.symlink_to(file.name)
    assert site.main(["add", "new", "--sites", str(alias)], {}) == 0
    assert alias.is_symlink()
    assert "new" in sites.parse(file.read_bytes())


def test_commands_at_the_same_time_lose_nothing(file: Path) -> None:
    names = [f"site-{number}" for number in range(8)]
    threads = [threading.Thread(target=site.main, args=(["add", one, "--sites", str(file)], {})) for one in names]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert set(names) < set(sites.parse(file.read_bytes()))


KEYS = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,8}", fullmatch=True)
COMMENTS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=12)


@given(st.dictionaries(KEYS, COMMENTS, min_size=1, max_size=4), KEYS, st.sampled_from(["\n", "\r\n"]))
def test_a_files_text_stays_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, known: dict[str, str], key: str, end: str
) -> None:
    path = tmp_path_factory.mktemp("sites") / "sites.toml"
    lines = [line for name, text in known.items() for line in (f"# {text}", f'[sites."{name}"] # {text}', "")]
    path.write_bytes(end.join(lines).encode())
    old = path.read_bytes().rstrip()
    if key in known:
        with pytest.raises(CannotEdit):
            toml_file.add_table(path, "sites", key, {}, sites.parse)
        toml_file.set_fields(path, "sites", key, {"tokens": ["0" * 64]}, sites.parse)
        for text in known.values():
            assert path.read_bytes().count(f"# {text}{end}".encode()) >= old.count(f"# {text}{end}".encode())
    else:
        toml_file.add_table(path, "sites", key, {"ip": "none"}, sites.parse)
        assert path.read_bytes().startswith(old)
    assert set(sites.parse(path.read_bytes())) == {*known, key}


def test_a_named_link_is_added_and_listed(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    links = tmp_path / "links.toml"
    environ = {"PHAROS_COLLECTOR_SITES": str(file), "PHAROS_COLLECTOR_LINKS": str(links)}
    base = ["--base", "https://px.example.com/"]
    to = ["https://shop.example/?a=1#b", "--site", "shop", "--source", "youtube", "--campaign", "spring"]
    assert link.main(["add", "yt-1", *to, *base, "--qr", str(tmp_path / "qr.svg")], environ) == 0
    assert capsys.readouterr().out == "https://px.example.com/c/yt-1\n"
    assert "<svg" in (tmp_path / "qr.svg").read_text()
    assert link.main(["add", "plain", "https://shop.example/", "--site", "shop"], environ) == 0
    assert capsys.readouterr().out == "/c/plain\n"
    found = link_file.parse(links.read_bytes(), sites.parse(file.read_bytes()))
    assert found["yt-1"].utm == (("utm_source", "youtube"), ("utm_campaign", "spring"))
    assert link.main(["list", *base], environ) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split("  ")[:2] == ["https://px.example.com/c/yt-1", "site=shop"]
    assert second.startswith("https://px.example.com/c/plain")


@pytest.mark.parametrize(
    ("argv", "code", "reason"),
    [
        (["add", "a", "javascript:x", "--site", "shop"], 1, "not a plain http or https URL"),
        (["add", "a", "https://shop.example/", "--site", "nowhere"], 1, "site 'nowhere' is not in sites.toml"),
        (["add", "a b", "https://shop.example/", "--site", "shop"], 1, "a code is 1-64"),
        (["add", "a", "https://shop.example/", "--site", "shop", "--qr", "x.png"], 2, "--qr needs --base"),
        (["list"], 1, "No such file"),
    ],
)
def test_a_named_link_that_cannot_be(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, reason: str
) -> None:
    links = tmp_path / "links.toml"
    environ = {"PHAROS_COLLECTOR_SITES": str(file), "PHAROS_COLLECTOR_LINKS": str(links)}
    assert link.main(argv, environ) == code
    assert reason in capsys.readouterr().err
    assert not links.exists()
    assert link.main(argv, {}) == 2
