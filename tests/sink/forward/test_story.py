"""The whole way: an ad click, a purchase by browser and server, a refund, people who refused."""

import asyncio
import json
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from enricher.contract import Event, encode_row
from enricher.rules.event_id import version
from tests.sink.conftest import ROOT, Bench
from tests.sink.forward.platform_server import PlatformServer, platform_server
from tests.sink.kafka import send
from tests.waiting import until

START_MS = round(time.time() * 1000) - 3_600_000
SITES = '[sites.shop]\nconsent = "required"\n'
DESTINATIONS = """
[destinations.meta]
platform = "meta"
pixel = "123"
endpoint = "{url}"
sites = ["shop"]
events = {{ purchase = "Purchase" }}
credential_file = "token"
user_data = ["email"]
hold_s = 1

[destinations.google]
platform = "google_ads"
account = "4711"
endpoint = "{url}"
sites = ["shop"]
events = {{ purchase = "99" }}
credential_file = "token"
hold_s = 1

[destinations.hook]
platform = "webhook"
url = "{url}/hook"
sites = ["shop"]
events = {{ purchase = "purchase" }}
credential_file = "token"
hold_s = 1
"""


def event(name: str, number: int, *, kind: str = "tag", id: str = "", **fields: object) -> Event:
    """Return an event of the site `shop`, `number` seconds after START_MS; copies share their `id`."""
    at_ms = START_MS + number * 1000
    at = f"{at_ms / 1000:.3f}"
    event_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{name}{id}") if id else uuid.uuid5(uuid.NAMESPACE_OID, f"hit{number}")
    return Event(
        event_id=str(event_id),
        site="shop",
        event=name,
        kind=kind,  # type: ignore[arg-type]
        received_at=at,
        occurred_at=at,
        version=version(kind, at_ms),  # type: ignore[arg-type]
        client_event_id=id,
        **fields,  # type: ignore[arg-type]
    )


PAGE = {"url": "https://shop.example/thanks", "user_agent": "Mozilla/5.0", "visitor_kind": "cookie"}
STORY = [
    event("pageview", 1, visitor_id="a", consent="given", click_id_name="fbclid", click_id="FB1", **PAGE),
    event("pageview", 2, visitor_id="a", consent="given", click_id_name="gclid", click_id="G1", **PAGE),
    # One order, by the browser with a forged amount and by the server.
    event("purchase", 10, id="o1", visitor_id="a", consent="given", value="1.00", currency="EUR", **PAGE),
    event("purchase", 11, id="o1", kind="server", value="199.00", currency="EUR"),
    event("refund", 20, id="r1", kind="server", value="50.00", currency="EUR", props={"order_id": "o1"}),
    # A stranger's refund of that order.
    event("refund", 21, id="r2", visitor_id="x", consent="given", value="10", props={"order_id": "o1"}, **PAGE),
    # Who refused: at once, or after the purchase.
    event("purchase", 30, id="o2", consent="refused", value="5", currency="EUR", **PAGE),
    event("pageview", 40, visitor_id="b", consent="given", click_id_name="gclid", click_id="G2", **PAGE),
    event("purchase", 41, id="o3", visitor_id="b", consent="given", value="6", currency="EUR", **PAGE),
    event("consent", 42, visitor_id="b", consent="refused"),
    # A bot, a visitor who consented to analytics only, an event and a site that no destination names.
    event("purchase", 50, id="o4", visitor_id="c", consent="given", is_bot=True, value="7", currency="EUR", **PAGE),
    event(
        "purchase",
        51,
        id="o5",
        visitor_id="d",
        consent="given",
        value="7",
        currency="EUR",
        props={"consent_advertising": "0"},
        **PAGE,
    ),
    event("signup", 52, visitor_id="a", consent="given", **PAGE),
]

SERVERS = [each for each in STORY if each.kind == "server"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("secret-token\n")
    (tmp_path / "sites.toml").write_text(SITES)
    return tmp_path


def settings(bench: Bench, folder: Path) -> dict[str, object]:
    return {
        "forward_destinations": folder / "destinations.toml",
        "sites": folder / "sites.toml",
        "forward_group": f"{bench.group}-forward",
        "forward_admin_port": 0,
        "topic_forward_dead": bench.dead,
    }


async def reported(server: PlatformServer, path: str, count: int) -> None:
    await until(lambda: len(server.events(path)) >= count, f"{count} events at {path}")


async def test_a_story_of_consent_money_and_refunds(kafka_bench: Bench, folder: Path) -> None:
    bench = kafka_bench
    async with platform_server() as server:
        (folder / "destinations.toml").write_text(DESTINATIONS.format(url=server.url))
        sink = bench.sink()
        await send(bench.broker.bootstrap, bench.enriched, [encode_row(each) for each in STORY])
        # The forwarder holds an event back for a second here: by then its copies must be stored.
        events, servers = (len({each.event_id for each in some}) for some in (STORY, SERVERS))
        await until(lambda: asyncio.to_thread(lambda: bench.count()[1] == events), "all events")
        await until(
            lambda: asyncio.to_thread(lambda: bench.count("authenticated")[1] == servers), "the server's copies"
        )
        forward = bench.sink("forward", **settings(bench, folder))
        for path in ("/v25.0/123/events", "/v1/events:ingest", "/hook"):
            await reported(server, path, 2)
        assert forward.terminate() == 0, forward.output()
        printed = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "sink", "forward", "--dry-run", "--since", "2020-01-01"],
            env=bench.env(**settings(bench, folder)) | {"PATH": ""},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        sink.terminate()
    assert server.wrong == []
    meta = server.events("/v25.0/123/events")
    assert [(each["event_name"], each["custom_data"]) for each in meta] == [
        ("Purchase", {"currency": "EUR", "value": 199, "order_id": "o1"}),
        ("Refund", {"currency": "EUR", "value": 50, "order_id": "o1"}),
    ]
    assert all(each["user_data"]["fbc"].endswith(".FB1") for each in meta)
    google = server.events("/v1/events:ingest")
    assert [(each["transactionId"], each["conversionValue"], "lastUpdatedTimestamp" in each) for each in google] == [
        ("o1", 199, False),
        ("o1", 149, True),
    ]
    assert all(each["adIdentifiers"] == {"gclid": "G1"} for each in google)
    assert printed.returncode == 0, printed.stderr
    would = [json.loads(line) for line in printed.stdout.splitlines()]
    assert "secret-token" not in printed.stdout + printed.stderr
    for destination, path in (("meta", "/v25.0/123/events"), ("google", "/v1/events:ingest"), ("hook", "/hook")):
        bodies = [each["body"] for each in would if each["destination"] == destination]
        assert [one for body in bodies for one in body.get("data", body.get("events"))] == server.events(path)
    assert "refused_since" in printed.stderr
    assert "secret-token" not in forward.output()
