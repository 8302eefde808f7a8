"""The Python client against a real collector behind a failing front: every event counts once, through any faults."""

import asyncio
import itertools
import json
import os
import queue
import shutil
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from email.utils import formatdate
from pathlib import Path
from random import Random
from uuid import UUID

import pharos_client
import pytest
import pytest_asyncio
from aiohttp import ClientSession, web
from pharos_client import Client, Unsent

from enricher.rules.event_id import event_id
from tests.collector import scale
from tests.collector.surface import OTHER_TOKEN, Surface, running
from tests.ports import free_port

in_loop = pytest.mark.asyncio(loop_scope="module")

FAULTS = ("429", "503", "502", "reset", "reset after", "", "", "")
EVENTS = scale.of(small=60, full=5000)


class Front:
    """Passes requests on to the collector, or fails as `fault` decides."""

    def __init__(self, surface: Surface) -> None:
        self.surface = surface
        self.fault: Callable[[], str] = lambda: ""
        self.url = ""
        self.sizes: list[int] = []
        """Number of events of each request."""

    def stored(self) -> list[dict[str, object]]:
        """Return the bodies of the stored hits, with their event ids."""
        bodies = [(hit, json.loads(hit.body or "{}")) for hit in self.surface.hits if hit.kind == "server"]
        return [body | {"is": event_id(hit.id, hit.site, body["event"], body["id"])} for hit, body in bodies]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _front(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with running(tmp_path_factory.mktemp("collector")) as surface, ClientSession() as session:
        front = Front(surface)
        inner = f"http://127.0.0.1:{surface.client.port}"

        async def forward(request: web.Request) -> web.StreamResponse:
            fault = front.fault()
            body = await request.read()
            front.sizes.append(body.count(b'"event":'))
            if fault.isdigit():
                return web.Response(status=int(fault), headers={"Retry-After": "0"})
            if fault.startswith("wait "):
                return web.Response(status=503, headers={"Retry-After": fault.removeprefix("wait ")})
            if fault != "reset":
                headers = {name: request.headers[name] for name in ("Authorization", "Content-Type")}
                async with session.post(inner + request.path, data=body, headers=headers) as answer:
                    content = await answer.read()
                if not fault:
                    return web.Response(status=answer.status, body=content, content_type="application/json")
            assert request.transport is not None
            request.transport.abort()
            raise asyncio.CancelledError

        application = web.Application(client_max_size=8 << 20)
        application.router.add_post("/v1/events", forward)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        front.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield front
        await runner.cleanup()


@pytest.fixture
def front(_front: Front, monkeypatch: pytest.MonkeyPatch) -> Front:
    """The front without faults or memory; pauses are a hundredth."""
    monkeypatch.setattr(pharos_client, "SHORTEST_PAUSE_S", 0.01)
    monkeypatch.setattr(pharos_client, "LONGEST_PAUSE_S", 0.05)
    _front.fault = lambda: ""
    _front.sizes.clear()
    _front.surface.hits.clear()
    return _front


def client_of(front: Front, **options: object) -> Client:
    return Client(front.url, token=OTHER_TOKEN, site="demo", **options)  # type: ignore[arg-type]


@in_loop
async def test_every_event_counts_once_through_faults(front: Front) -> None:
    random = Random(EVENTS)
    front.fault = lambda: random.choice(FAULTS)
    client = client_of(front, linger_s=0, most_waiting=4 * EVENTS)
    numbers = itertools.count()

    def produce() -> list[str]:
        return [client.send("sale", id=f"order-{n}", value=Decimal("9.90")) for n in itertools.islice(numbers, EVENTS)]

    produced = await asyncio.gather(*(asyncio.to_thread(produce) for _ in range(4)))
    assert await asyncio.to_thread(client.flush, 120)
    assert await asyncio.to_thread(client.close) == []
    sent = {name for names in produced for name in names}
    stored = front.stored()
    assert {body["id"] for body in stored} == sent
    assert len({body["is"] for body in stored}) == len(sent) == 4 * EVENTS
    assert all(body["value"] == "9.90" for body in stored)


@pytest.mark.parametrize(
    "fault", ["401", "403", "404", "408", "429", "500", "502", "503", "302", "reset", "reset after"]
)
@in_loop
async def test_a_failed_request_is_sent_again(front: Front, fault: str) -> None:
    faults = iter([fault, fault])
    front.fault = lambda: next(faults, "")
    client = client_of(front)
    sent = client.send("sale")
    assert UUID(sent).version == 7, "event ids follow time"
    assert await asyncio.to_thread(client.flush)
    assert {body["id"] for body in front.stored()} == {sent}
    assert len(front.sizes) == 3
    client.close()


@in_loop
async def test_retry_after_is_respected(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = iter(["wait 7", "wait " + formatdate(4_000_000_000), "wait soon"])
    front.fault = lambda: next(faults, "")
    pauses: list[float] = []
    client = client_of(front)
    monkeypatch.setattr(client, "_pause", pauses.append)
    client.send("sale")
    assert await asyncio.to_thread(client.flush)
    assert pauses[:2] == [7, pharos_client.LONGEST_RETRY_AFTER_S]
    assert 0 < pauses[2] <= 0.05
    client.close()


@in_loop
async def test_a_refused_event_costs_no_other(front: Front) -> None:
    refused: list[tuple[str, str]] = []
    client = client_of(front, on_refused=lambda event, reason: refused.append((event["event"], reason)))
    for name in ("good", "two words", "good"):
        client.send(name)
    client.send("good", site="nowhere")
    client.send("good", colour="blue")
    assert await asyncio.to_thread(client.flush)
    assert sorted(refused) == [("good", "bad_body"), ("good", "unknown_site"), ("two words", "bad_event")]
    assert [body["event"] for body in front.stored()] == ["good", "good"]
    client.close()


@in_loop
async def test_an_event_that_spoils_the_body_is_found(front: Front) -> None:
    refused: list[str] = []
    client = client_of(front, on_refused=lambda event, reason: refused.append(event["id"]))
    sent = [client.send("sale", id=f"n-{n}") for n in range(9)]
    with client._changed:
        client._waiting[4].text = b"{"
    assert await asyncio.to_thread(client.flush)
    assert refused == ["n-4"]
    assert sorted(str(body["id"]) for body in front.stored()) == sorted(set(sent) - {"n-4"})
    client.close()


@in_loop
async def test_batches_are_bounded(front: Front) -> None:
    client = client_of(front)
    for _ in range(1200):
        client.send("sale", props={"a": "x"})
    assert await asyncio.to_thread(client.flush)
    assert max(front.sizes) <= pharos_client.MOST_EVENTS
    front.sizes.clear()
    for _ in range(5):
        client.send("sale", title="x" * 8000, props={f"p{n}": "y" * 1000 for n in range(30)}, url="https://a.example/")
    with pytest.raises(ValueError, match="bytes"):
        client.send("sale", title="x" * pharos_client.MOST_BYTES)
    assert await asyncio.to_thread(client.close) == []
    assert len(front.stored()) == 1205


@in_loop
async def test_what_is_not_sent_is_returned(front: Front) -> None:
    front.fault = lambda: "503"
    client = client_of(front, most_waiting=2)
    ids = [client.send("sale"), client.send("sale")]
    with pytest.raises(queue.Full):
        client.send("sale")
    assert not await asyncio.to_thread(client.flush, 0.1)
    assert [event["id"] for event in await asyncio.to_thread(client.close, 0.1)] == ids
    with pytest.raises(queue.Full):
        client.send("sale")


@in_loop
async def test_a_with_block_that_cannot_send(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(f"http://127.0.0.1:{free_port()}", token="x", site="demo")
    close = client.close
    monkeypatch.setattr(client, "close", lambda: close(0.05))

    def use() -> None:
        with client:
            client.send("sale")

    with pytest.raises(Unsent) as found:
        await asyncio.to_thread(use)
    assert [event["event"] for event in found.value.events] == ["sale"]


LAST = """
import sys
import zipfile
from pharos_client import Client
Client(sys.argv[1], token=sys.argv[2], site="demo").send("last")
"""

FORK = """
import os, sys
from pharos_client import Client
client = Client(sys.argv[1], token=sys.argv[2], site="demo")
client.send("parent")
client.flush()
client.send("parent")
if os.fork():
    os.wait()
else:
    client.send("child")
assert client.flush()
assert client.close() == []
"""


@in_loop
async def test_after_a_fork_the_child_has_a_queue_of_its_own(front: Front) -> None:
    source = str(Path(pharos_client.__file__).parent)
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FORK, front.url, OTHER_TOKEN, env={**os.environ, "PYTHONPATH": source}
    )
    assert await program.wait() == 0
    assert sorted(str(body["event"]) for body in front.stored()) == ["child", "parent", "parent"]


@in_loop
async def test_the_end_of_the_program_sends_what_waits(front: Front) -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        LAST,
        front.url,
        OTHER_TOKEN,
        env={**os.environ, "PYTHONPATH": str(Path(pharos_client.__file__).parent)},
    )
    assert await program.wait() == 0
    assert [body["event"] for body in front.stored()] == ["last"]


@pytest.mark.parametrize("base", ["px.example.com", "ftp://px.example.com", "https://"])
def test_a_base_that_cannot_be(base: str) -> None:
    with pytest.raises(ValueError, match="not an http or https address"):
        Client(base, token="x")


def test_a_field_that_json_cannot_write() -> None:
    client = Client("https://px.example.com", token="x")
    with pytest.raises(ValueError, match="JSON"):
        client.send("sale", value=float("nan"))


def test_it_is_a_package_of_one_module(tmp_path: Path) -> None:
    folder = tmp_path / "client"
    shutil.copytree(Path(pharos_client.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--no-build-isolation", "--no-deps", "--no-index", "-q", "-w", str(tmp_path), str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options], check=True, timeout=120)
    (wheel,) = tmp_path.glob("pharos_client-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        modules = [name for name in archive.namelist() if ".dist-info/" not in name]
        (meta,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
    assert modules == ["pharos_client.py"]
    assert "Requires-Dist" not in meta
