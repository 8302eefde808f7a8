"""A refusal goes the whole way: a visitor who refuses, in any of three ways, is in no audience any more."""

from datetime import UTC, datetime, timedelta
from typing import Final

from tests.e2e.system import System
from tests.e2e.wire import Connection
from tests.waiting import until

VISITORS: Final = {way: f"{number:x}" * 31 + "a" for number, way in enumerate(("keeps", "denies", "leaves", "signals"))}
FIREFOX: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
BODY: Final = b'{"site":"demo","event":"seen","consent":"denied"}'
REFUSALS: Final = {
    "denies": (b"POST /e", b"Content-Length: %d\r\n" % len(BODY), BODY, 202),
    "leaves": (b"GET /opt-out", b"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\n", b"", 200),
    "signals": (b"GET /p.gif?s=demo&e=seen", b"Sec-GPC: 1\r\n", b"", 200),
}
"""By the visitor: request line, headers, body, status."""


async def send(system: System, visitor: str, line: bytes, headers: bytes = b"", body: bytes = b"") -> int:
    connection = Connection(system.port)
    cookie = f"User-Agent: {FIREFOX}\r\nCookie: _pid={VISITORS[visitor]}\r\n".encode()
    answer = await connection.ask(line + b" HTTP/1.1\r\nHost: px.example\r\n" + cookie + headers + b"\r\n" + body)
    await connection.close()
    return answer.status


def audience(system: System) -> set[str]:
    """Return the names of the visitors who did `cart`."""
    now = datetime.now(UTC)
    since, to = ((now + timedelta(days=days)).strftime("%Y-%m-%d") for days in (-1, 2))
    asked = "SELECT visitor_id FROM pharos.audience(site = 'demo', event = 'cart', min_count = 1, "
    rows = system.ask(f"{asked}since = '{since}', until = '{to}', tz = 'UTC')")
    names = {visitor: name for name, visitor in VISITORS.items()}
    return {names[row["visitor_id"]] for row in rows}


async def test_who_refuses_is_in_no_audience_any_more(system: System) -> None:
    for visitor in VISITORS:
        assert await send(system, visitor, b"GET /p.gif?s=demo&e=cart") == 200
    await until(lambda: system.count() == len(VISITORS), f"the carts are stored\n{system.output()}")
    assert audience(system) == VISITORS.keys()

    for visitor, (line, headers, body, status) in REFUSALS.items():
        assert await send(system, visitor, line, headers, body) == status
    # Each leaves its suppression; a refusal on a page is an event without a visitor, too.
    stored = len(VISITORS) + len(REFUSALS) + 2
    await until(lambda: system.count() == stored, f"the refusals are stored\n{system.output()}")
    # The tables that an insert feeds, such as refusals, have its rows a moment after event_log.
    await until(lambda: audience(system) == {"keeps"}, f"those who refused are in no audience\n{system.output()}")

    kept = system.ask("SELECT * FROM pharos.events WHERE event = 'consent'")
    assert {row["visitor_id"] for row in kept} == {VISITORS[visitor] for visitor in REFUSALS}
    for row in kept:
        assert (row["consent"], row["user_id"], row["ip"], row["url"], row["user_agent"]) == ("refused", "", "", "", "")
    assert [row["visitor_id"] for row in system.ask("SELECT visitor_id FROM pharos.events WHERE event = 'seen'")] == [
        "",
        "",
    ]
