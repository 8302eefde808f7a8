"""`/linker`, and the event that brings a linker to another domain: who gets one, and what it is worth."""

from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
import pytest_asyncio

from tests.collector.surface import Surface, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

ID = "0123456789abcdef0123456789abcdef"
PAGE = {"Origin": "https://www.shop.example", "Sec-Fetch-Site": "same-site", "User-Agent": "Firefox"}
KNOWN = {"Cookie": f"_pid={ID}; _pcs=1"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def surface(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Surface]:
    folder: Path = tmp_path_factory.mktemp("linker")
    async with running(folder) as found:
        yield found


async def ask(surface: Surface, query: str, **headers: str) -> tuple[int, str]:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    async with surface.client.get(f"/linker?{query}", headers=named) as answer:
        assert "no-store" in answer.headers["Cache-Control"]
        return answer.status, (await answer.read()).decode()


async def land(surface: Surface, linker: str, **headers: str) -> tuple[str, str, str]:
    """Send a page view with a linker; return visitor, stored URL, and the cookie that is set."""
    event = {"site": "linked", "url": f"https://www.shop.de/a?b=1&_plk={linker}", "consent": "1"}
    event["referrer"] = f"https://www.shop.de/?_plk={linker}"
    sent = {"User-Agent": "Firefox", "Content-Type": "text/plain"} | headers
    async with surface.client.post("/e", data=orjson.dumps([event]), headers=sent) as answer:
        assert answer.status == 202
        cookies = [text for text in answer.headers.getall("Set-Cookie", []) if text.startswith("_pid=")]
    hit = surface.hits[-1]
    body = orjson.loads(hit.body or "{}")
    assert body["referrer"] == "https://www.shop.de/"
    return hit.visitor_id or "", body["url"], cookies[0][5:37] if cookies else ""


async def test_a_visitor_is_known_on_the_other_domain(surface: Surface) -> None:
    status, linker = await ask(surface, "s=linked&to=www.shop.de", **PAGE, **KNOWN)
    assert status == 200
    assert ID not in linker
    assert await land(surface, linker) == (ID, "https://www.shop.de/a?b=1", ID)


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("s=linked&to=www.shop.de", {}),
        ("s=linked&to=www.shop.de", {"Cookie": f"_pid={ID}"}),
        ("s=linked&to=www.shop.de", {"Cookie": f"_pid={ID}; _pcs=0"}),
        ("s=linked&to=www.shop.de", {"Cookie": f"_pid={ID}; _pcs=1; _pno=1"}),
        ("s=linked&to=www.shop.de", {**KNOWN, "Sec-GPC": "1"}),
        ("s=linked&to=www.shop.de", {**KNOWN, "Sec-Fetch-Site": "cross-site"}),
        ("s=linked&to=shop.example", KNOWN),
        ("s=linked&to=myshop.de", KNOWN),
        ("s=linked", KNOWN),
        ("s=demo&to=www.shop.de", KNOWN),
        ("s=hash&to=www.shop.de", KNOWN),
        ("to=www.shop.de", KNOWN),
    ],
)
async def test_who_gets_none(surface: Surface, query: str, headers: dict[str, str]) -> None:
    assert await ask(surface, query, **{**PAGE, **headers}) == (204, "")


async def test_a_listed_origin_gets_one(surface: Surface) -> None:
    listed = {"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site", "User-Agent": "Firefox"}
    assert (await ask(surface, "s=linked&to=shop.de", **listed, **KNOWN))[0] == 200


async def test_what_a_linker_does_not_do(surface: Surface) -> None:
    _, linker = await ask(surface, "s=linked&to=www.shop.de", **PAGE, **KNOWN)
    stranger, url, _ = await land(surface, linker, **{"User-Agent": "Chrome"})
    assert (stranger != ID, url) == (True, "https://www.shop.de/a?b=1")
    forged, _, _ = await land(surface, linker[:-3] + "AAA")
    assert forged not in ("", ID)
    own = "f" * 32
    known, _, _ = await land(surface, linker, Cookie=f"_pid={own}")
    assert known == own, "a visitor who has an id keeps it"
    elsewhere, _ = await ask(surface, "s=linked&to=shop.de", **PAGE, **KNOWN)
    assert elsewhere == 200
