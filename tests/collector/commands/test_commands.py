"""`python -m collector link`, `mail-pixel` and `salt`: what they print, and what they refuse."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from collector.commands import link as link_command
from collector.commands import mail_pixel
from collector.policy import links

KEY = "a key of the operator"


def run(*argv: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
    env = {name: text for name, text in os.environ.items() if not name.startswith("PHAROS_COLLECTOR")}
    if key:
        env["PHAROS_COLLECTOR_LINK_KEY"] = key
    command = [sys.executable, "-m", "collector", *argv]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_a_link_is_signed_and_drawn(tmp_path: Path) -> None:
    utm = ["--source", "youtube", "--medium", "video", "--campaign", "launch"]
    where = ["https://shop.example/p?a=1#b", "--site", "shop", "--base", "https://px.example.com/"]
    done = run("link", *where, *utm, "--qr", str(tmp_path / "qr.png"))
    assert (done.returncode, done.stderr) == (0, "")
    link = urlsplit(done.stdout.strip())
    assert (link.netloc, link.path) == ("px.example.com", "/c")
    target = links.verify(link.query, [KEY.encode()])
    assert target is not None
    assert target.site == "shop"
    assert target.url == "https://shop.example/p?a=1&utm_source=youtube&utm_medium=video&utm_campaign=launch#b"
    assert (tmp_path / "qr.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("argv", "key", "said"),
    [
        (["javascript:alert(1)", "--site", "shop"], KEY, "not a plain http or https URL"),
        (["https://shop.example/", "--site", "shop"], "", "PHAROS_COLLECTOR_LINK_KEY: must be set"),
        (["https://shop.example/", "--site", "shop", "--qr", "x.png"], KEY, "--qr needs --base"),
        (["https://shop.example/"], KEY, "--site"),
    ],
)
def test_a_link_that_cannot_be(argv: list[str], key: str, said: str, tmp_path: Path) -> None:
    done = run("link", *argv, key=key)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr


@pytest.mark.parametrize("sender", sorted(mail_pixel.SENDERS))
def test_the_mail_pixel_keeps_the_senders_placeholders(sender: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--base", "https://px.example.com", "--site", "news", "--sender", sender, "--recipient", "--consent"]
    assert mail_pixel.main(argv, {}) == 0
    printed = capsys.readouterr().out
    address = unescape(re.findall('src="([^"]*)"', printed)[0])
    found = dict(pair.split("=", 1) for pair in address.partition("?")[2].split("&"))
    known = mail_pixel.SENDERS[sender]
    assert address.startswith("https://px.example.com/o.gif?s=news&m=")
    assert (found["m"], found.get("l", ""), found["uid"], found["n"]) == (*known, "1")
    assert 'alt=""' in printed
    for text in known:
        assert "mail" not in text.lower(), "a recipient is never named by an address"


def test_links_and_mail_pixels_have_the_own_names(capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"PHAROS_COLLECTOR_PATHS": "o.gif=open.gif, c=go", "PHAROS_COLLECTOR_LINK_KEY": KEY}
    assert mail_pixel.main(["--base", "https://px.example.com", "--site", "news", "--message", "m"], environ) == 0
    assert "https://px.example.com/open.gif?s=news" in capsys.readouterr().out
    assert (
        link_command.main(["https://shop.example/", "--site", "shop", "--base", "https://px.example.com"], environ) == 0
    )
    assert capsys.readouterr().out.startswith("https://px.example.com/go?s=shop&")


def test_a_mail_pixel_with_ids_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--base", "https://px.example.com/", "--site", "news", "--message", "2026-11 ü&", "--list", "a"]
    assert mail_pixel.main(argv, {}) == 0
    address = unescape(re.findall('src="([^"]*)"', capsys.readouterr().out)[0])
    assert parse_qsl(urlsplit(address).query) == [("s", "news"), ("m", "2026-11 ü&"), ("l", "a")]


@pytest.mark.parametrize(
    "argv",
    [
        ["--base", "http://px.example.com", "--site", "news", "--message", "m"],
        ["--base", "https://px.example.com", "--site", "news"],
        ["--base", "https://px.example.com", "--site", "news", "--message", "m", "--recipient"],
    ],
)
def test_a_mail_pixel_that_cannot_be(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert mail_pixel.main(argv, {}) == 2
    assert capsys.readouterr().out == ""


def test_a_qr_code_that_cannot_be_written(tmp_path: Path) -> None:
    where = ["https://shop.example/", "--site", "shop", "--base", "https://px.example.com"]
    for name in ("no/such/folder.png", "qr.word"):
        done = run("link", *where, "--qr", str(tmp_path / name))
        assert (done.returncode, done.stdout) == (1, "")
        assert "Traceback" not in done.stderr
        assert name in done.stderr


def test_salts_for_today_and_tomorrow(tmp_path: Path) -> None:
    folder = tmp_path / "salt"
    folder.mkdir(mode=0o700)
    (folder / "2020-01-01").write_bytes(b"s" * 16)
    before = datetime.now(UTC).date()
    assert run("salt", str(folder)).returncode == 0
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    after = datetime.now(UTC).date()
    assert set(kept) in [{str(day), str(day + timedelta(days=1))} for day in {before, after}]
    assert run("salt", str(folder)).returncode == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept, "a salt that is there stays"


def test_an_unknown_command_is_told_what_there_is() -> None:
    done = run("links")
    assert done.returncode == 2
    assert "usage: python -m collector" in done.stderr
