"""The tag's scripts as they are served: size, content coding, caching, and what they may not contain."""

import gzip
import re
from pathlib import Path

import brotli
import pytest

from collector.http.tag import LARGEST_GZIP_BYTES, Tag, answer, load

NAMES = tuple(LARGEST_GZIP_BYTES)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tag(name: str) -> Tag:
    return load(name)


def test_size(name: str, tag: Tag, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {coding or "plain": len(body) for coding, body in tag.bodies.items()}
    with capsys.disabled():
        print(f"\n{name}: {sizes['plain']} bytes, gzip {sizes['gzip']}, brotli {sizes['br']}")
    assert sizes["gzip"] <= LARGEST_GZIP_BYTES[name]
    assert sizes["br"] < sizes["gzip"]


def test_every_coding_holds_the_same_program(tag: Tag) -> None:
    assert gzip.decompress(tag.bodies["gzip"]) == brotli.decompress(tag.bodies["br"]) == tag.bodies[""]


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br", "br"),
        ("gzip, deflate, br;q=0", "gzip"),
        ("gzip;q=0.5, BR ; q=0.000", "gzip"),
        ("gzip", "gzip"),
        ("xgzip, brx", ""),
        ("identity", ""),
        ("", ""),
    ],
)
def test_the_client_chooses_the_coding(tag: Tag, accepted: str, coding: str) -> None:
    sent = answer(tag, accepted, "")
    assert (sent.status, sent.headers.get("Content-Encoding", ""), sent.body) == (200, coding, tag.bodies[coding])
    assert sent.headers["Vary"] == "Accept-Encoding"
    assert sent.headers["Cache-Control"] == "public, max-age=3600"
    again = answer(tag, accepted, f'"other", W/{sent.headers["ETag"]}')
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", sent.headers["ETag"])
    assert "Content-Type" not in again.headers


def test_an_etag_names_one_coding_of_one_script() -> None:
    tags = {answer(load(name), coding, "").headers["ETag"] for name in NAMES for coding in ("br", "gzip", "")}
    assert len(tags) == 3 * len(NAMES)
    one = load(NAMES[0])
    assert answer(one, "br", answer(one, "gzip", "").headers["ETag"]).status == 200


def test_the_scripts_need_nothing_newer_than_es2017_and_set_no_cookie(tag: Tag) -> None:
    text = tag.bodies[""].decode()
    for newer in ("?.", "??", "async *", "...{", "catch{", "&&=", "||=", ".flat(", ".at(", "matchAll", "#!"):
        assert newer not in text, newer
    for needless in ("document.cookie", "eval", "innerHTML"):
        assert needless not in text, needless
    assert set(re.findall(r"localStorage\W+\w+", text)) == {"localStorage.pharosOff"}, "the visitor's own switch"


def test_the_base_changes_nothing_in_local_storage() -> None:
    text = load().bodies[""].decode()
    assert re.findall(r"(.)localStorage(.{11})", text) == [("{", ".pharosOff&")], "one look, at the start of a block"


def test_the_page_about_the_tag_gives_these_sizes() -> None:
    text = (Path(__file__).parents[3] / "docs" / "tag.md").read_text()
    for name, path in (("tag.js", "/t.js"), ("tag_extra.js", "/x.js"), ("tag_helper.js", "/pharos-helper.js")):
        bodies = load(name).bodies
        row = next(line for line in text.splitlines() if line.startswith(f"| `{path}`"))
        assert f"| {len(bodies['gzip']):,} bytes | {len(bodies['br']):,} | {LARGEST_GZIP_BYTES[name]:,} |" in row
