"""The tag as served: its size, its coding and caching, and a compacting that changes nothing but the looks."""

import gzip

import brotli
import pytest

from collector.http.tag import LARGEST_GZIP_BYTES, answer, compact, load

TAG = load()


def test_size(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {coding or "plain": len(body) for coding, body in TAG.bodies.items()}
    with capsys.disabled():
        print(f"\nthe tag: {sizes['plain']} bytes, gzip {sizes['gzip']}, brotli {sizes['br']}")
    assert sizes["gzip"] <= LARGEST_GZIP_BYTES
    assert sizes["br"] < sizes["gzip"]


def test_every_coding_holds_the_same_program() -> None:
    assert gzip.decompress(TAG.bodies["gzip"]) == brotli.decompress(TAG.bodies["br"]) == TAG.bodies[""]


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
def test_the_client_chooses_the_coding(accepted: str, coding: str) -> None:
    sent = answer(TAG, accepted, "")
    assert (sent.status, sent.headers.get("Content-Encoding", ""), sent.body) == (200, coding, TAG.bodies[coding])
    assert sent.headers["Vary"] == "Accept-Encoding"
    assert sent.headers["Cache-Control"] == "public, max-age=3600"
    again = answer(TAG, accepted, f'"other", W/{sent.headers["ETag"]}')
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", sent.headers["ETag"])
    assert "Content-Type" not in again.headers


def test_an_etag_names_one_coding() -> None:
    tags = {answer(TAG, coding, "").headers["ETag"] for coding in ("br", "gzip", "")}
    assert len(tags) == 3
    assert answer(TAG, "br", answer(TAG, "gzip", "").headers["ETag"]).status == 200


@pytest.mark.parametrize(
    ("source", "compacted"),
    [
        ("// a\nconst long = 1 ; /* b */ use( long );", "const a=1;use(a);"),
        ('const url = "url // x";\nsend({ url: url, at: a.url });', 'const b="url // x";send({url:b,at:a.url});'),
        ("const long = (word) => { return word };", "const a=(b)=>{return b};"),
        ("if (x) { y(); }", "if(x){y()}"),
        ("const test = /a b\\/[/]c/i; x = 1 + ++y;", "const a=/a b\\/[/]c/i;x=1+ ++y;"),
        ("const event = 1; f({ event });", "const event=1;f({event});"),
        ("const one = a ? one : two;", "const b=a?b:two;"),
    ],
)
def test_compacting(source: str, compacted: str) -> None:
    assert compact(source) == compacted


def test_what_the_reader_does_not_know_stops_the_start() -> None:
    with pytest.raises(ValueError, match="cannot read '`"):
        compact("const a = `b`;")


def test_the_tag_needs_nothing_newer_than_es2017() -> None:
    text = TAG.bodies[""].decode()
    for newer in ("?.", "??", "async *", "...{", "catch{", "&&=", "||=", ".flat(", ".at(", "matchAll", "#!"):
        assert newer not in text, newer
    for needless in ("document.cookie", "localStorage", "sessionStorage", "eval", "innerHTML"):
        assert needless not in text, needless
