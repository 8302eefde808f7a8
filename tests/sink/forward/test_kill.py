"""A forwarder that dies at each step in turn: every event arrives, with one id each."""

import asyncio
import sys
from collections import Counter
from pathlib import Path

from enricher.contract import encode_row
from tests.sink.conftest import ROOT, Bench
from tests.sink.forward.crashing import CRASHED, STEPS
from tests.sink.forward.platform_server import platform_server
from tests.sink.forward.test_story import PAGE, SITES, event, settings
from tests.sink.kafka import send
from tests.waiting import until

COUNT = 60
HOOK = """
[destinations.hook]
platform = "webhook"
url = "{url}/hook"
sites = ["shop"]
events = {{ purchase = "purchase" }}
credential_file = "token"
hold_s = 0
"""


async def test_every_event_arrives(kafka_bench: Bench, tmp_path: Path) -> None:
    bench = kafka_bench
    (tmp_path / "token").write_text("t")
    (tmp_path / "sites.toml").write_text(SITES)
    ids = [f"o{number}" for number in range(COUNT)]
    rows = [
        encode_row(
            event(
                "purchase", number, id=id, visitor_id=f"v{number}", consent="given", value="5", currency="EUR", **PAGE
            )
        )
        for number, id in enumerate(ids)
    ]
    async with platform_server() as server:
        (tmp_path / "destinations.toml").write_text(HOOK.format(url=server.url))
        sink = bench.sink()
        environ = bench.env(**settings(bench, tmp_path))
        share = COUNT // len(STEPS)
        for number, step in enumerate(STEPS):
            program = bench.start(
                [sys.executable, "-m", "tests.sink.forward.crashing", step, "1"], env=environ, cwd=ROOT
            )
            await send(bench.broker.bootstrap, bench.enriched, rows[number * share : (number + 1) * share])
            assert await asyncio.to_thread(program.wait, 60) == CRASHED, program.output()
        forward = bench.sink("forward", **settings(bench, tmp_path))
        await until(lambda: len({each["order_id"] for each in server.events("/hook")}) == COUNT, "all events")
        assert forward.terminate() == 0, forward.output()
        sink.terminate()
    by_order = Counter((each["order_id"], each["event_id"]) for each in server.events("/hook"))
    assert len(by_order) == COUNT
    assert max(by_order.values()) <= 1 + len(STEPS)
