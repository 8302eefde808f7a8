"""Delivery against platforms that misbehave: nothing is lost, nothing endless, and one bad event costs only itself."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web

from sink.clickhouse import Retry
from sink.forward.brake import LEAST
from sink.forward.config import MetaDestination
from sink.forward.dead import DeadForward
from sink.forward.delivery import Delivery, Stopped
from sink.forward.gate import StoredEvent
from sink.forward.pending import Key
from sink.forward.transport import Http
from tests.sink.forward.platform_server import PlatformServer, platform_server
from tests.sink.forward.test_gate import EVENT, NOW_MS

PATH = "/v25.0/1/events"


class Store:
    """A warehouse that has events 0 to `count`, after `faults` failures."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.faults = 0

    async def events(
        self, site: str, occurred: object, conversions: object, lookback_days: int
    ) -> dict[str, StoredEvent]:
        if self.faults:
            self.faults -= 1
            raise Retry("away")
        return {
            str(number): msgspec.structs.replace(
                EVENT, event_id=str(number), client_event_id=f"o{number}", value=Decimal(5)
            )
            for number in range(self.count)
        }


class World:
    """A delivery with a platform; time passes only in its pauses."""

    def __init__(self, server: PlatformServer, session: aiohttp.ClientSession, folder: Path, count: int) -> None:
        self.server = server
        self.now = NOW_MS / 1000
        self.pauses: list[float] = []
        self.buried: list[DeadForward] = []
        self.store = Store(count)
        self.token = folder / "token"
        self.token.write_text("t")
        one = MetaDestination(
            pixel="1", endpoint=server.url, sites=("shop",), events={"purchase": "Purchase"}, credential_file="token"
        )
        self.delivery = Delivery(
            "meta",
            one,
            folder=folder,
            warehouse=self.store,  # type: ignore[arg-type]
            transport=Http(session),
            bury=self.bury,
            now=lambda: self.now,
            sleep=self.sleep,
        )

    async def bury(self, dead: DeadForward) -> None:
        self.buried.append(dead)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    async def forward(self, count: int) -> frozenset[Key]:
        return await self.delivery.forward({Key("shop", str(number)): NOW_MS for number in range(count)})

    def arrived(self) -> list[str]:
        return [each["event_id"] for each in self.server.events(PATH)]


@contextlib.asynccontextmanager
async def world(folder: Path, count: int) -> AsyncIterator[World]:
    async with platform_server() as server, aiohttp.ClientSession() as session:
        yield World(server, session, folder, count)


def names(numbers: Sequence[int]) -> list[str]:
    return [str(number) for number in numbers]


async def test_faults_that_pass_are_waited_for(tmp_path: Path) -> None:
    async with world(tmp_path, 3) as one:
        one.store.faults = 2
        one.server.faults.extend(
            [
                web.Response(status=429, headers={"Retry-After": "77"}),
                web.Response(status=500, text="oops"),
                "reset",
                web.Response(status=400, text='{"error": {"message": "busy", "code": 4}}'),
            ]
        )
        assert await one.forward(3) == frozenset()
        assert one.arrived() == names(range(3))
        assert max(one.pauses) >= 77
        assert one.buried == []


async def test_pauses_grow_to_their_bound(tmp_path: Path) -> None:
    async with world(tmp_path, 1) as one:
        one.server.faults.extend([web.Response(status=503)] * 14)
        await one.forward(1)
        backoffs = [pause for pause in one.pauses if pause >= 1]
        assert backoffs[0] < 2
        assert 300 <= max(backoffs) <= 450
        assert one.arrived() == ["0"]


async def test_an_answer_that_is_lost_sends_the_same_ids_again(tmp_path: Path) -> None:
    async with world(tmp_path, 2) as one:
        one.server.faults.append("lost")
        await one.forward(2)
        assert one.arrived() == ["0", "1", "0", "1"]


async def test_a_wrong_credential_is_read_again(tmp_path: Path) -> None:
    async with world(tmp_path, 1) as one:
        one.server.faults.append(web.Response(status=401, text="token expired"))
        one.token.unlink()
        sleep = one.delivery._sleep

        async def corrected(seconds: float) -> None:
            one.token.write_text("new")
            await sleep(seconds)

        one.delivery._sleep = corrected
        await one.forward(1)
        assert one.arrived() == ["0"]
        assert one.buried == []


@pytest.mark.parametrize("secret", ["", " \n", "a\nb"])
async def test_a_credential_file_without_a_credential_sends_nothing(tmp_path: Path, secret: str) -> None:
    async with world(tmp_path, 1) as one:
        one.token.write_text(secret)
        sleep = one.delivery._sleep

        async def corrected(seconds: float) -> None:
            assert one.server.heads == []
            one.token.write_text("new")
            await sleep(seconds)

        one.delivery._sleep = corrected
        await one.forward(1)
        assert one.arrived() == ["0"]


async def test_a_credential_that_the_platform_repeats_is_not_kept(tmp_path: Path) -> None:
    async with world(tmp_path, 1) as one:
        one.token.write_text("EAAB/secret")
        one.server.faults.append(web.Response(status=400, text="Malformed token EAAB/secret or EAAB%2Fsecret"))
        await one.forward(1)
        (dead,) = one.buried
        assert dead.detail == "400 Malformed token (secret) or (secret)"


async def test_one_bad_event_costs_only_itself(tmp_path: Path) -> None:
    async with world(tmp_path, 40) as one:
        one.server.refuse = {"17"}
        await one.forward(40)
        assert sorted(one.arrived(), key=int) == names([number for number in range(40) if number != 17])
        (dead,) = one.buried
        assert (dead.event_id, dead.reason, dead.destination) == ("17", "refused", "meta")
        assert "no such thing as 17" in dead.detail


async def test_a_platform_that_refuses_all_is_left_alone(tmp_path: Path) -> None:
    async with world(tmp_path, 200) as one:
        one.server.refuse = set(names(range(200)))
        with pytest.raises(Stopped):
            await one.forward(200)
        assert len(one.buried) == LEAST
        assert one.arrived() == []


async def test_what_is_not_stored_yet_is_told(tmp_path: Path) -> None:
    async with world(tmp_path, 2) as one:
        assert await one.forward(3) == {Key("shop", "2")}
        assert one.arrived() == names(range(2))


async def test_a_late_copy_is_not_sent_again(tmp_path: Path) -> None:
    async with world(tmp_path, 2) as one:
        day = 86_400_000
        assert await one.delivery.forward({Key("shop", "0"): NOW_MS + day, Key("shop", "1"): NOW_MS}) == frozenset()
        assert one.arrived() == ["1"]


async def test_a_refund_waits_for_its_order(tmp_path: Path) -> None:
    async with world(tmp_path, 1) as one:
        order = Key("shop", "0")
        refund = msgspec.structs.replace(
            EVENT, event_id="r", event="refund", order=msgspec.structs.replace(EVENT, event_id="0")
        )

        async def events(*_: object) -> dict[str, StoredEvent]:
            return {"r": refund}

        one.store.events = events  # type: ignore[method-assign,assignment]
        one.delivery.is_waiting = {order}.__contains__
        assert await one.delivery.forward({Key("shop", "r"): NOW_MS}) == {Key("shop", "r")}
        assert one.arrived() == []
        one.delivery.is_waiting = set[Key]().__contains__
        assert await one.delivery.forward({Key("shop", "r"): NOW_MS}) == frozenset()
        assert one.arrived() == ["r"]


async def test_a_refund_whose_clock_is_behind_follows_its_order(tmp_path: Path) -> None:
    async with world(tmp_path, 1) as one:
        order = msgspec.structs.replace(EVENT, event_id="0")
        refund = msgspec.structs.replace(EVENT, event_id="r", event="refund", order=order)

        async def events(*_: object) -> dict[str, StoredEvent]:
            return {"r": refund, "0": order}

        one.store.events = events  # type: ignore[method-assign,assignment]
        await one.delivery.forward({Key("shop", "r"): NOW_MS - 1, Key("shop", "0"): NOW_MS})
        assert one.arrived() == ["0", "r"]
