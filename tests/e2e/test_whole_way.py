"""The whole way of a varied mix: the accepted are in `pharos.events`, the broken in `hits.dead`, and nothing else."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from playwright.async_api import Browser

from collector import contract
from tests.browser import pages
from tests.e2e import requests as listed
from tests.e2e.system import TOKEN, System
from tests.e2e.wire import Answer, ask_all
from tests.waiting import until

_REQUESTS = Path(__file__).parent / "requests.yml"
_SCALE = 20 if os.environ.get("PHAROS_TEST_SCALE") == "full" else 1


def _wrong(request: listed.Request, answer: Answer) -> str:
    """Return what is wrong with the answer; empty if nothing is."""
    if answer.status != request.status:
        return f"{answer.status} instead of {request.status} {answer.body[:200]!r}"
    if request.is_pixel and answer.status == 200:
        told = answer.headers.get("x-pharos", "nothing")
        dropped = ", ".join(request.rows[0].get("dropped", ())) if request.rows else ""
        expected = f"accepted; {dropped} dropped" if dropped else "accepted"
        if request.refused:
            expected = f"refused; {request.refused[0]}"
        if told != expected:
            return f"X-Pharos: {told}, not {expected}"
        if len(answer.body) != 43:
            return f"{len(answer.body)} bytes are not the pixel"
    elif request.refused or request.status == 202:
        said = orjson.loads(answer.body)
        reasons = tuple(each["reason"] for each in said["refused"]) if "refused" in said else (said["reason"],)
        if reasons != request.refused:
            return f"refused {reasons}, not {request.refused}"
    return ""


def _differences(row: dict[str, Any], expected: dict[str, Any]) -> dict[str, tuple[object, object]]:
    return {name: (row.get(name), value) for name, value in expected.items() if row.get(name) != value}


_PAGE = """<!doctype html><html lang="en"><head><title>Blue mug</title></head><body><h1>Blue mug</h1>
<img src="COLLECTOR/p.gif?s=demo&e=seen&id=CLIENT-N" width="1" height="1" alt="" referrerpolicy="unsafe-url">
</body></html>"""


async def _look_at_a_page(system: System, browser: Browser) -> tuple[dict[str, Any], ...]:
    """Load a page with the pixel: a visitor twice, another one once; return what the rows must be."""
    ids = ("first-1", "first-2", "other-1")
    collector = f"http://localhost:{system.port}"  # where a browser takes a Secure cookie without TLS
    contents = {f"/{id_}": _PAGE.replace("COLLECTOR", collector).replace("CLIENT-N", id_) for id_ in ids}
    async with pages(contents) as base:
        visitors = {name: await browser.new_context() for name in ("first", "other")}
        for id_ in ids:
            page = await visitors[id_.partition("-")[0]].new_page()
            await page.goto(
                f"{base.replace('127.0.0.1', 'localhost')}/{id_}?utm_medium=email", wait_until="networkidle"
            )
            await page.close()
    # Headless Chromium says of itself what it is.
    agent = {"browser": "Headless Chrome", "is_bot": True, "os": "Linux", "device": "desktop"}
    row = agent | {"event": "seen", "kind": "pixel", "host": "localhost", "channel": "Email", "visitor_kind": "cookie"}
    return tuple(row | {"client_event_id": id_, "path": f"/{id_}"} for id_ in ids)


async def test_exactly_the_accepted_are_stored_and_exactly_the_broken_are_dead(
    system: System, browser: Browser
) -> None:
    requests = listed.load(_REQUESTS, token=TOKEN, scale=_SCALE)
    assert len(requests) >= 1000
    wrong: Counter[tuple[str, str]] = Counter()

    def judge(request: listed.Request, answer: Answer) -> None:
        if problem := _wrong(request, answer):
            wrong[request.says, problem] += 1

    seen = await _look_at_a_page(system, browser)
    foreign = await _send_what_no_collector_writes(system)
    await ask_all(system.port, requests, judge)
    assert not wrong

    rows = {row["client_event_id"]: row for row in (*seen, *(row for request in requests for row in request.rows))}
    await until(lambda: system.count() >= len(rows), f"{len(rows)} events\n{system.output()}")
    dead = [request for request in requests if request.dead]
    letters = await until(
        lambda: _all_letters(system, len(dead) + len(foreign)), f"{len(dead)} dead letters\n{system.output()}", 60
    )

    stored = system.ask("SELECT * FROM pharos.events")
    assert len(stored) == len(rows)
    assert len({row["event_id"] for row in stored}) == len(rows)
    by_id = {row["client_event_id"]: row for row in stored}
    assert by_id.keys() == rows.keys()
    differences = {id_: differing for id_, row in rows.items() if (differing := _differences(by_id[id_], row))}
    assert not differences
    first, again, other = (by_id[row["client_event_id"]]["visitor_id"] for row in seen)
    assert first == again != other

    assert len(letters) == len(dead) + len(foreign)
    for record, reason in foreign.items():
        assert [letter.reason for letter in letters if letter.record == record] == [reason]
    for request in dead:
        found = [letter for letter in letters if request.dead_mark in letter.record]
        assert [letter.reason for letter in found] == [request.dead], request.says
        assert contract.decode(found[0].record).site == "demo"

    counted = Counter(reason for request in requests if request.counted for reason in request.refused)
    counted["accepted"] = len(rows) + len(dead)
    results: Counter[str] = Counter()
    for (name, labels), value in system.metrics("collector").items():
        if name == "pharos_collector_hits_total":
            results[dict(labels)["result"]] += int(value)
    assert +results == counted

    assert system.stop() == {"collector": 0, "enricher": 0, "sink": 0}


async def _send_what_no_collector_writes(system: System) -> dict[bytes, str]:
    """Put records into `hits.raw` that are no hits; return the reason for which each must be dead."""
    hit = contract.Hit(id="0" * 32, at=1, kind="pixel", site="demo", query="s=demo")
    foreign = {
        b"\x00\xff no JSON": "undecodable",
        b'{"v":1,"id":"0"}': "undecodable",
        contract.encode(hit).replace(b'"v":1', b'"v":99'): "unknown_version",
    }
    async with AIOKafkaProducer(bootstrap_servers=system.broker.bootstrap, acks="all") as producer:
        for record in foreign:
            await producer.send_and_wait(system.topics["raw"], record)
    return foreign


async def _all_letters(system: System, count: int) -> list[Any] | None:
    letters = await system.dead_letters()
    return letters if len(letters) >= count else None
