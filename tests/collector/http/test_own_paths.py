"""The operator's own names of the public paths, on both paths through the collector; the standard names stay valid."""

from collections.abc import Iterator

import pytest

from collector.http import tag
from tests.collector.http.both_paths import RULESET, One, both
from tests.collector.http.test_both_paths import post, request

PATHS = {"t.js": "shop.js", "x.js": "more.js", "e": "save", "p.gif": "dot.gif", "o.gif": "open.png", "c": "go"}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[One, One]]:
    with both(tmp_path_factory.mktemp("own"), RULESET._replace(paths=PATHS)) as pair:
        yield pair


PIXEL = "?s=demo&u=https%3A%2F%2Fshop.example%2F"
REQUESTS = {
    "/dot.gif": request(b"/dot.gif" + PIXEL.encode()),
    "/p.gif": request(b"/p.gif" + PIXEL.encode()),
    "//dot.gif/": request(b"//dot.gif/" + PIXEL.encode()),
    "/open.png": request(b"/open.png?s=demo&m=1"),
    "/save": post({"site": "demo", "event": "signup"}, target=b"/save"),
    "/e": post({"site": "demo", "event": "signup"}),
    "/go/yt-launch": request(b"/go/yt-launch?gclid=G1"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_hit_under_an_own_name(paths: tuple[One, One], name: str) -> None:
    for one in paths:
        ((answer,), _) = one.ask(REQUESTS[name])
        assert answer.status in (200, 202, 302)
        assert answer.header("x-pharos") == "accepted"
        (hit,) = one.hits()
        assert hit.site == "demo"


def test_a_body_in_pieces_and_a_preflight(paths: tuple[One, One]) -> None:
    sent = REQUESTS["/save"]
    for one in paths:
        ((answer,), _) = one.ask(sent[:30], sent[30:-5], sent[-5:])
        assert answer.status == 202
        one.hits()
        ((answer,), _) = one.ask(request(b"/save", b"Origin: https://shop.example", method=b"OPTIONS"))
        assert answer.status == 204


def test_the_scripts_use_the_own_names(paths: tuple[One, One]) -> None:
    base, extra = (tag.load(name, PATHS).bodies[""] for name in ("tag.js", "tag_extra.js"))
    for one in paths:
        for target, body in ((b"/shop.js", base), (b"/t.js", base), (b"/more.js", extra)):
            ((answer,), _) = one.ask(request(target))
            assert (answer.status, answer.body) == (200, body)
    standard = tag.load("tag.js").bodies[""], tag.load("tag_extra.js").bodies[""]
    for name, own, counts in (
        (b'("e")', b'("save")', [1, 1]),
        (b'"p.gif?"', b'"dot.gif?"', [0, 1]),
        (b'"x.js"', b'"more.js"', [1, 0]),
    ):
        assert [script.count(name) for script in standard] == counts
        assert [script.count(own) for script in (base, extra)] == counts
        assert [script.count(name) for script in (base, extra)] == [0, 0]


def test_other_paths_are_not_there(paths: tuple[One, One]) -> None:
    for one in paths:
        for target in (b"/saved", b"/save/more", b"/opt/save", b"/dot.gif/x"):
            ((answer,), _) = one.ask(request(target))
            assert answer.status == 404
        assert one.hits() == []
