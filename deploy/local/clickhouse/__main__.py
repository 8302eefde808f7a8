"""`python -m deploy.local.clickhouse`: ClickHouse's HTTP interface over chDB, ClickHouse's engine as a library.

For one person's machine and for tests: docs/local.md says how it differs from a server.
"""

import argparse
import asyncio
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import uvloop
from aiohttp import web

from deploy.local.clickhouse.endpoint import Endpoint
from deploy.local.clickhouse.engine import Engine
from deploy.local.clickhouse.request import User
from stage import version


async def serve(
    engine: Engine, users: Mapping[str, User], host: str, port: int, ready: Callable[[int], None], stop: asyncio.Event
) -> None:
    """Serve until `stop`; call `ready` with the port once it listens. Raises OSError if it cannot listen."""
    endpoint = Endpoint(engine, users)
    application = web.Application()
    application.add_routes(endpoint.routes())
    runner = web.AppRunner(
        application,
        access_log=None,
        handler_cancellation=True,
        auto_decompress=False,
        max_line_size=1 << 20,
        max_field_size=64 << 10,
        shutdown_timeout=5,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        ready(runner.addresses[0][1])
        await stop.wait()
    finally:
        await runner.cleanup()
        await endpoint.close()


def _lock(path: Path) -> int:
    """Take the folder for this process. Raises BlockingIOError where another has it."""
    file = os.open(path / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


async def _run(options: argparse.Namespace, users: Mapping[str, User]) -> None:
    engine = Engine(options.path.resolve(), queries=options.queries, inserts=options.inserts, config=options.config)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def ready(port: int) -> None:
        print(f"ClickHouse {engine.version} on http://{options.host}:{port}", flush=True)

    try:
        await serve(engine, users, options.host, options.port, ready, stop)
    finally:
        engine.close()


def main() -> int:
    """Serve a folder until SIGTERM or SIGINT; 0 then, 2 for a busy port or a folder that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local.clickhouse",
        description="Serve ClickHouse's HTTP interface with chDB, for one machine and for tests.",
        epilog="docs/local.md describes the differences from a ClickHouse server.",
    )
    version.add_option(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument(
        "--port", type=int, default=8123, help="port; 0 takes a free one and prints it (default %(default)s)"
    )
    parser.add_argument(
        "--path", type=Path, default=Path("var/clickhouse"), help="data folder; created if it is missing"
    )
    parser.add_argument("--queries", type=int, default=8, help="concurrent queries; others wait (default %(default)s)")
    parser.add_argument("--inserts", type=int, default=4, help="concurrent inserts; others wait (default %(default)s)")
    parser.add_argument("--config", type=Path, help="a file in the form of ClickHouse's config.xml")
    options = parser.parse_args()
    users = {
        "default": User("default", os.environ.get("PHAROS_LOCAL_CLICKHOUSE_PASSWORD", ""), read_only=False),
        "analyst": User("analyst", os.environ.get("PHAROS_LOCAL_ANALYST_PASSWORD", ""), read_only=True),
    }
    os.environ["TZ"] = "UTC"
    time.tzset()
    try:
        options.path.mkdir(parents=True, exist_ok=True)
        _lock(options.path)
    except BlockingIOError:
        print(f"{options.path}: another ClickHouse endpoint uses this folder", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{options.path}: {error.strerror}", file=sys.stderr)
        return 2
    try:
        uvloop.run(_run(options, users))
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        print(f"port {options.port} on {options.host}: {reason}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
