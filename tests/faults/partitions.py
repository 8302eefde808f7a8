"""`unshare --net --mount python -m tests.faults.partitions FOLDER [--all]`: faults of the network, under load.

Ten hosts: three Kafka brokers, two collectors, two enrichers, two sinks, ClickHouse. Hosts cannot reach each other, are
slow, accept and never answer, or move to another address. No fault gives an error at either end. Collectors are ready
all the time. Afterwards every answered hit is stored, none is shown twice. test_partitions.py runs it.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from tests.clickhouse import ClickHouse
from tests.faults.cluster import NODES, Cluster
from tests.faults.hosts import Host, Network
from tests.faults.pipeline import PARTITIONS, STAGES, Load, Pipeline
from tests.waiting import until

BACK_S = 60
"""Everything works again within this time after a cut."""


class World(NamedTuple):
    """What a cut is made in."""

    network: Network
    pipeline: Pipeline
    brokers: list[Host]
    storage: Host
    load: Load

    def lose(self, pairs: list[tuple[Host, Host]]) -> Callable[[], None]:
        """Cut off the receivers from the senders; return what ends that."""
        for sender, receiver in pairs:
            self.network.lose(sender, receiver)

        def heal() -> None:
            for sender, receiver in pairs:
                self.network.deliver(sender, receiver)

        return heal

    async def ready(self, stage: str, number: int, status: int) -> None:
        """Return when a process's `/readyz` answers with a status."""
        what = f"{stage} {number}: /readyz {status}"
        await until(lambda: asyncio.to_thread(lambda: self.pipeline.readiness(stage, number) == status), what, BACK_S)

    async def collectors_are_ready(self) -> None:
        """Look again and again; AssertionError if a collector says that it is not ready."""
        while True:
            for number in range(2):
                status = await asyncio.to_thread(self.pipeline.readiness, "collector", number)
                assert status in (200, 0), f"collector {number}: /readyz {status}"  # 0: a busy machine
            await asyncio.sleep(0.2)

    async def stored(self, since: float) -> None:
        """Return when a hit that was answered after `since` is stored."""

        async def look() -> bool:
            new = {name for name, at in self.load.answered.items() if at > since}
            return bool(new & await asyncio.to_thread(self.pipeline.stored_since, since))

        await until(look, "a new hit is stored", BACK_S)


async def broker_alone(world: World) -> None:
    """One broker reaches no other host: the two others take over its partitions."""
    node = world.pipeline.cluster.nodes[0]
    world.network.isolate(world.brokers[0])
    await world.pipeline.cluster.moved_away_from(node, list(world.pipeline.topics.values()), PARTITIONS)
    world.network.join(world.brokers[0])


async def enricher_without_answers(world: World) -> None:
    """What an enricher sends reaches Kafka, and the answers are lost: it is not ready, the other one does its work."""
    enricher = world.pipeline.hosts["enricher", 0]
    heal = world.lose([(broker, enricher) for broker in world.brokers])
    began = time.monotonic()
    await world.ready("enricher", 0, 503)
    await world.stored(began)
    heal()


async def sinks_without_clickhouse(world: World) -> None:
    """Nothing that a sink sends reaches ClickHouse: both say that they are not ready."""
    heal = world.lose([(world.pipeline.hosts["sink", number], world.storage) for number in range(2)])
    for number in range(2):
        await world.ready("sink", number, 503)
    heal()


async def collector_without_kafka(world: World) -> None:
    """A collector cannot reach Kafka: it answers as before, stays ready, and keeps the hits in its spool."""
    collector = world.pipeline.hosts["collector", 0]
    heal = world.lose([(collector, broker) for broker in world.brokers])
    before = world.load.answered_by(0)
    await until(lambda: world.load.answered_by(0) > before + 500, "hits answered meanwhile")
    assert world.pipeline.readiness("collector", 0) == 200
    heal()


async def brokers_in_one_direction(world: World) -> None:
    """One broker does not reach another, which reaches it."""
    heal = world.lose([(world.brokers[1], world.brokers[2])])
    began = time.monotonic()
    await world.stored(began + 5)
    heal()


async def broker_slow(world: World) -> None:
    """Everything from and to one broker waits for seconds; some of it is lost."""
    world.network.slow(world.brokers[0], "150kbit")
    before = world.load.answered_by(0)
    await until(lambda: world.load.answered_by(0) > before + 1000, "hits answered meanwhile")
    world.network.fast(world.brokers[0])


async def coordinator_silent(world: World) -> None:
    """The groups' coordinator takes requests and answers none; its cluster does not notice. Who needs it says so."""
    coordinator = await world.pipeline.cluster.coordinator()
    silent = world.brokers[coordinator - 1]
    world.network.silence(silent, [broker for broker in world.brokers if broker is not silent])
    for stage in ("enricher", "sink"):
        for number in range(2):
            await world.ready(stage, number, 503)
    world.network.heard(silent)


async def clickhouse_moves(world: World) -> None:
    """ClickHouse is at another address, of which the name learns later."""
    address = world.network.move(world.storage)
    for number in range(2):
        await world.ready("sink", number, 503)
    world.network.call(world.storage, address)


async def brokers_move(world: World) -> None:
    """All brokers are at other addresses, of which their names learn later."""
    addresses = [world.network.move(broker) for broker in world.brokers]
    for number in range(2):
        await world.ready("enricher", number, 503)
    for broker, address in zip(world.brokers, addresses, strict=True):
        world.network.call(broker, address)


SHORT: list[Callable[[World], Awaitable[None]]] = [
    broker_alone,
    enricher_without_answers,
    sinks_without_clickhouse,
    broker_slow,
    coordinator_silent,
    clickhouse_moves,
    brokers_move,
]
ALL = [*SHORT, collector_without_kafka, brokers_in_one_direction]


async def run(folder: Path, cuts: list[Callable[[World], Awaitable[None]]]) -> int:
    """Start everything, make the cuts one after the other, and return 0 if nothing is missing or doubled."""
    network = Network(folder)
    brokers = [network.host(f"broker-{number}.test") for number in range(1, NODES + 1)]
    storage = network.host("clickhouse.test")
    hosts = {(stage, number): network.host() for stage in STAGES for number in range(2)}
    cluster, clickhouse = Cluster(folder, brokers), ClickHouse(folder, storage)
    clickhouse.password = "of the test"
    pipeline = Pipeline(folder / "stages", cluster, clickhouse, hosts)
    load = Load(pipeline.addresses())
    world = World(network, pipeline, brokers, storage, load)
    try:
        await asyncio.gather(cluster.start(), asyncio.to_thread(clickhouse.start))
        await pipeline.start()
        sending = asyncio.create_task(load.run())
        await until(lambda: asyncio.to_thread(lambda: bool(pipeline.shown())), "the first hits are stored", 90)
        watching = asyncio.create_task(world.collectors_are_ready())
        for cut in cuts:
            began = time.monotonic()
            await cut(world)
            healed = time.monotonic()
            await world.stored(healed)
            for stage, number in hosts:
                await world.ready(stage, number, 200)
            now = time.monotonic()
            print(f"{cut.__name__}: cut for {healed - began:.1f} s, back after {now - healed:.1f} s", flush=True)
            if watching.done():
                watching.result()
        load.going = False
        watching.cancel()
        await sending

        def missing() -> set[str]:
            return set(load.answered) - set(pipeline.shown())

        await until(lambda: asyncio.to_thread(lambda: not missing()), "every answered hit is stored", 120)
        doubled = [name for name, count in pipeline.shown().items() if count > 1]
        print(f"{len(load.answered)} answered, {len(missing())} missing, {len(doubled)} doubled")
    except BaseException:
        print(pipeline.output())
        raise
    finally:
        pipeline.kill()
        cluster.kill()
        clickhouse.kill()
    return 1 if doubled else 0


def main() -> int:
    """Run the cuts; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--all", action="store_true", help="every fault, twice")
    parser.add_argument("--only", choices=[fault.__name__ for fault in ALL], nargs="*", help="these faults")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    chosen = [fault for fault in ALL if fault.__name__ in (arguments.only or [])]
    return asyncio.run(run(arguments.folder, chosen or (ALL * 2 if arguments.all else SHORT)))


if __name__ == "__main__":
    sys.exit(main())
