"""Request ids: on every answer that went wrong, the edge's own where it is believed, and in the line of the fault."""

import json
import re
from pathlib import Path

import pytest

from collector.policy.outcome import Outcomes
from tests.collector.http.both_paths import both
from tests.collector.surface import running

MADE = re.compile(r"[0-9a-f]{16}")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("0af7651916cd43dd8448eb211c80319c", True),
        ("Root=1-67891233-abcdef012345678912345678", True),
        ("SR4kHfMGCbFcZn_PyFC-3DRmCLFJtwTwtYa3==", True),
        ("230b030023ae2822-SJC", True),
        ("someone@example.com", False),
        ("a b", False),
        ("x" * 129, False),
        ("", False),
    ],
)
async def test_an_answer_that_refuses_carries_the_edges_id(tmp_path: Path, sent: str, kept: bool) -> None:
    async with running(tmp_path) as surface:
        async with surface.client.post("/e", data=b"{", headers={"X-Request-Id": sent}) as answer:
            assert answer.status == 400
            told = answer.headers["X-Request-Id"]
        assert told == sent if kept else MADE.fullmatch(told)
        async with surface.client.get("/p.gif?s=demo&e=bad event", headers={"X-Request-Id": sent}) as answer:
            assert (answer.status, "X-Request-Id" in answer.headers) == (200, False)


async def test_a_strangers_id_is_not_taken(tmp_path: Path) -> None:
    async with running(tmp_path) as surface:
        surface.ingest.ruleset = surface.ingest.ruleset._replace(trusted=type(surface.ingest.ruleset.trusted)())
        async with surface.client.post("/e", data=b"{", headers={"X-Request-Id": "theirs"}) as answer:
            assert MADE.fullmatch(answer.headers["X-Request-Id"])


async def test_each_cdn_has_a_header_of_its_own(tmp_path: Path) -> None:
    async with running(tmp_path) as surface:
        surface.ingest.ruleset = surface.ingest.ruleset._replace(request_id_header="cf-ray")
        headers = {"X-Request-Id": "visitors-own", "CF-Ray": "230b030023ae2822-SJC"}
        async with surface.client.post("/e", data=b"{", headers=headers) as answer:
            assert answer.headers["X-Request-Id"] == "230b030023ae2822-SJC"


async def test_our_own_fault_is_logged_under_the_answers_id_and_nothing_else_of_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("203.0.113.77 sent hunter2")

    monkeypatch.setattr(Outcomes, "post", broken)
    async with running(tmp_path) as surface:
        headers = {"X-Request-Id": "edge-17", "Cookie": "session=hunter2", "X-Forwarded-For": "203.0.113.77"}
        async with surface.client.post("/e?secret=1", json={"site": "demo"}, headers=headers) as answer:
            assert (answer.status, answer.headers["X-Request-Id"]) == (500, "edge-17")
    told = capfd.readouterr().err
    (line,) = (line for line in told.splitlines() if "a request failed" in line)
    said = json.loads(line)
    assert (said["level"], said["request_id"], said["route"], said["problem"]) == (
        "error",
        "edge-17",
        "/e",
        "RuntimeError",
    )
    assert any("broken" in place for place in said["where"])
    for secret in ("hunter2", "203.0.113.77", "secret=1"):
        assert secret not in told


async def test_a_full_spool_is_logged_under_the_answers_id(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with running(tmp_path, most_bytes=0) as full, full.client.post("/e", json={"site": "demo"}) as answer:
        assert answer.status == 503
        told = answer.headers["X-Request-Id"]
    said = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [(line["msg"], line["request_id"]) for line in said] == [("answered 503", told)]


def test_a_fault_of_ours_on_the_connection_is_one_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("sent hunter2")

    pixel = b"GET /p.gif?s=demo HTTP/1.1\r\nHost: a\r\n\r\n"
    with both(tmp_path) as (one, _):
        with monkeypatch.context() as patch:
            patch.setattr(Outcomes, "usable_pixel", broken)
            (answer,), closed = one.ask(pixel)
        assert (answer.status, answer.header("x-request-id"), closed) == (500, "(made)", False)
        assert [answer.status for answer in one.ask(pixel)[0]] == [200]
    told = capfd.readouterr().err
    (line,) = (json.loads(line) for line in told.splitlines() if "a request failed" in line)
    assert (line["level"], line["route"], line["problem"]) == ("error", "fast path", "RuntimeError")
    assert "hunter2" not in told
