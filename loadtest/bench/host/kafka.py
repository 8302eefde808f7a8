"""Apache Kafka as compose.yaml and compose.small.yaml start it: one node, a small heap, the image's flags of Java."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from loadtest.bench.host import small
from loadtest.bench.wrk import program
from loadtest.check.processes import Program, free_port, listening, started

JARS: Final = "PHAROS_BENCH_KAFKA_JARS"
"""Environment variable: the folder with Apache Kafka's jars; unset: the embedded broker takes part instead."""
_CLUSTER: Final = "cGhhcm9zLWNvbXBvc2UtMQ"
PROPERTIES: Final = """
node.id=1
process.roles=broker,controller
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
auto.create.topics.enable=false
"""
"""compose.yaml's settings, apart from addresses and folders."""
_FLAGS: Final = (
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
    "-Djava.awt.headless=true",
)


@contextmanager
def kafka(folder: Path) -> Iterator[tuple[Program, str]]:
    """Run the broker with its data in `folder`/data; give it and its bootstrap servers."""
    folder.mkdir()
    port, controller = free_port(), free_port()
    file = folder / "server.properties"
    file.write_text(
        f"{PROPERTIES}listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n"
        f"advertised.listeners=BROKER://127.0.0.1:{port}\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n"
        f"log.dirs={folder}/data\n"
    )
    java = [program("java", "openjdk-17-jre-headless"), *small.settings("kafka")["KAFKA_HEAP_OPTS"].split(), *_FLAGS]
    java += ["-cp", f"{os.environ[JARS]}/*"]
    subprocess.run(
        [*java, "kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
        timeout=60,
    )
    with started(
        [*java, "kafka.Kafka", str(file)], folder=folder, ready=lambda: listening(port), within_s=90
    ) as running:
        yield running, f"127.0.0.1:{port}"
