"""Three nodes of Apache Kafka as one cluster, each a broker and a controller. Two must have what is acknowledged."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError

from tests.brokers import ApacheKafka
from tests.faults.hosts import LOCALHOST, Host
from tests.waiting import until

NODES = 3


class Node(ApacheKafka):
    """One node. `voters` is filled when all of them have their ports."""

    def __init__(self, folder: Path, number: int, voters: dict[int, str], host: Host) -> None:
        super().__init__(folder)
        self.host = host.place
        self.listens = host.listens
        self.command = host.command
        self.number = number
        self._voters = voters
        voters[number] = f"{number}@{self.host}:{self.controller_port}"

    def _cluster_settings(self) -> str:
        voters = ",".join(self._voters.values())
        replicated = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
        nodes, in_sync = len(self._voters), min(2, len(self._voters))
        return (
            f"node.id={self.number}\ncontroller.quorum.voters={voters}\nmin.insync.replicas={in_sync}\n"
            + "".join(f"{topic}.replication.factor={nodes}\n" for topic in replicated)
            + "".join(f"{topic}.min.isr={in_sync}\n" for topic in replicated[1:])
            # What a broker asked another one that is elsewhere by now, it asks again after this time, not after 30 s.
            + "replica.socket.timeout.ms=5000\nrequest.timeout.ms=5000\n"
        )


class Cluster:
    """The nodes."""

    def __init__(self, folder: Path, hosts: Sequence[Host] = (LOCALHOST,) * NODES) -> None:
        voters: dict[int, str] = {}
        self.nodes = [Node(folder / f"kafka-{number}", number, voters, host) for number, host in enumerate(hosts, 1)]

    @property
    def bootstrap(self) -> str:
        return ",".join(node.bootstrap for node in self.nodes)

    async def start(self) -> None:
        """Start all nodes at the same time; return when clients are answered by each."""
        await asyncio.gather(*(asyncio.to_thread(node.start) for node in self.nodes))

    def kill(self) -> None:
        """Leave nothing running."""
        for node in self.nodes:
            node.kill()

    async def create_topics(self, names: Sequence[str], partitions: int) -> None:
        """Create topics on all nodes; return when every partition has a leader."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)

        async def started() -> bool:
            try:
                await admin.start()
                await admin.create_topics([NewTopic(name, partitions, len(self.nodes)) for name in names])
            except TopicAlreadyExistsError:
                return True
            except (KafkaError, OSError, TimeoutError):
                return False  # the controllers elect one of them first
            return True

        try:
            await until(started, "a controller that creates topics")
        finally:
            await admin.close()
        await until(lambda: self._led(names, partitions, set()), "leaders of all partitions")

    async def coordinator(self) -> int:
        """Return the number of the node that coordinates the consumer groups: their offsets have one partition."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            await admin.start()
            return int(await admin.find_coordinator("any"))
        finally:
            await admin.close()

    async def moved_away_from(self, node: Node, names: Sequence[str], partitions: int) -> None:
        """Return when no partition of the topics is led by a node."""
        await until(lambda: self._led(names, partitions, {node.number}), f"new leaders of what node {node.number} led")

    async def _led(self, names: Sequence[str], partitions: int, but: set[int]) -> bool:
        others = [node.bootstrap for node in self.nodes if node.number not in but]
        admin = AIOKafkaAdminClient(bootstrap_servers=",".join(others), request_timeout_ms=5000)
        try:
            await admin.start()
            topics = await admin.describe_topics(list(names))
        except (KafkaError, OSError, TimeoutError):
            return False
        finally:
            await admin.close()
        leaders = [part["leader"] for topic in topics for part in topic["partitions"]]
        return len(leaders) == len(names) * partitions and all(one > 0 and one not in but for one in leaders)
