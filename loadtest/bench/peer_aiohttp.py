"""A contestant of the bench `peers`: an aiohttp handler that awaits nothing but `producer.send`.

`python -m loadtest.bench.peer_aiohttp PORT KAFKA TOPIC`. Every request becomes a record with its line, some headers and
its body; nothing is checked. The answer leaves when the record is in the producer's memory.
"""

import asyncio
import signal
import sys
import time
from typing import Final

import orjson
import uvloop
from aiohttp import web
from aiokafka import AIOKafkaProducer

HEADERS: Final = ("User-Agent", "Referer", "Accept-Language", "Cookie")
GIF: Final = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")


async def run(port: int, kafka: str, topic: str) -> None:
    """Serve until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, compression_type="lz4", linger_ms=20, max_batch_size=500_000)
    await producer.start()

    async def answer(request: web.Request) -> web.Response:
        hit: dict[str, object] = {name: request.headers.get(name, "") for name in HEADERS}
        hit |= {"at": time.time_ns() // 1_000_000, "line": request.path_qs, "body": await request.text()}
        await producer.send(topic, orjson.dumps(hit))
        if request.method == "POST":
            return web.Response(status=202, body=b'{"refused":[]}', content_type="application/json")
        if request.path.startswith("/c/"):
            return web.Response(status=302, headers={"Location": "https://shop.example/landing"})
        return web.Response(body=GIF, content_type="image/gif")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await stopping.wait()
    await runner.cleanup()
    await producer.stop()


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1]), *sys.argv[2:]))
