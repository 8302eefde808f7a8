"""Firefox and WebKit as tests drive them: open a page, evaluate JavaScript in it, close.

Firefox speaks WebDriver BiDi over a WebSocket, WebKitGTK's MiniBrowser classic WebDriver over HTTP. Both are a few
messages, so that no driver library is needed.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from aiohttp import ClientSession, ClientWebSocketResponse

from tests import needs
from tests.ports import free_port

_START_S: Final = 180
_MINIBROWSER: Final = next(map(str, Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser")), "")


class Engine(NamedTuple):
    """One window of a browser."""

    goto: Callable[[str], Awaitable[Any]]
    """Open a URL; returns when the page has loaded."""
    evaluate: Callable[[str], Awaitable[Any]]
    """Return the value of a JavaScript expression."""


@asynccontextmanager
async def firefox(folder: Path) -> AsyncIterator[Engine]:
    """Start Firefox with a profile in `folder`. Skips where there is no Firefox."""
    program = needs.program("firefox-esr", "firefox-esr")
    profile = folder / "profile"
    profile.mkdir()
    quiet = {"app.update.enabled": False, "browser.shell.checkDefaultBrowser": False, "network.proxy.type": 0}
    (profile / "user.js").write_text("".join(f'user_pref("{k}", {str(v).lower()});\n' for k, v in quiet.items()))
    command = [program, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": str(folder), "MOZ_CRASHREPORTER_DISABLE": "1"},
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(_START_S):
            while not (found := re.search(rb"BiDi listening on (ws://\S+)", await process.stderr.readline())):
                assert process.returncode is None, "Firefox ended"
        draining = asyncio.create_task(process.stderr.read())
        async with ClientSession() as client, client.ws_connect(f"{found[1].decode()}/session") as socket:
            numbers = iter(range(1, 1 << 20))

            async def ask(method: str, **params: Any) -> dict[str, Any]:
                return await _bidi(socket, next(numbers), method, params)

            await ask("session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
            window = (await ask("browsingContext.getTree"))["contexts"][0]["context"]

            async def evaluate(expression: str) -> Any:
                answer = await ask(
                    "script.evaluate",
                    expression=f"Promise.resolve({expression}).then(v => JSON.stringify(v === undefined ? null : v))",
                    target={"context": window},
                    awaitPromise=True,
                )
                assert answer["type"] == "success", answer
                return json.loads(answer["result"]["value"])

            async def goto(url: str) -> Any:
                return await ask("browsingContext.navigate", context=window, url=url, wait="complete")

            yield Engine(goto, evaluate)
            await ask("browser.close")
        draining.cancel()
    finally:
        await _end(process)


async def _bidi(socket: ClientWebSocketResponse, number: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
    await socket.send_json({"id": number, "method": method, "params": params})
    async with asyncio.timeout(_START_S):
        while True:
            answer = await socket.receive_json()
            if answer.get("id") == number:
                assert answer["type"] == "success", answer
                return dict(answer["result"])


@asynccontextmanager
async def webkit(folder: Path) -> AsyncIterator[Engine]:
    """Start WebKitGTK's MiniBrowser on a display of its own. Skips where it is not installed."""
    driver = needs.program("WebKitWebDriver", "webkit2gtk-driver")
    binary = _MINIBROWSER or needs.missing("MiniBrowser is not installed (apt-get install webkit2gtk-driver)")
    read, write = os.pipe()
    display = await asyncio.create_subprocess_exec(
        needs.program("Xvfb", "xvfb"), "-displayfd", str(write), "-screen", "0", "1024x768x24", "-nolisten", "tcp",
        pass_fds=[write],
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    with os.fdopen(read) as told:  # to the line's end: Xvfb writes number and line feed apart, and ends if it cannot
        number = (await asyncio.to_thread(told.readline)).strip()
    port = free_port()
    environment = {**os.environ, "DISPLAY": f":{number}", "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    environment |= {"WEBKIT_DISABLE_COMPOSITING_MODE": "1", "LIBGL_ALWAYS_SOFTWARE": "1", "NO_AT_BRIDGE": "1"}
    process = await asyncio.create_subprocess_exec(
        driver, f"--port={port}", env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with ClientSession(f"http://127.0.0.1:{port}") as client:

            async def ask(method: str, path: str, **body: Any) -> Any:
                async with client.request(method, path, json=body if method == "POST" else None) as answer:
                    value = (await answer.json(content_type=None))["value"]
                    assert answer.status == 200, value
                    return value

            async with asyncio.timeout(_START_S):
                while True:
                    try:
                        await ask("GET", "/status")
                        break
                    except OSError:
                        await asyncio.sleep(0.1)
                options = {"binary": binary, "args": ["--automation"]}
                wanted = {"alwaysMatch": {"acceptInsecureCerts": True, "webkitgtk:browserOptions": options}}
                session = (await ask("POST", "/session", capabilities=wanted))["sessionId"]

            async def evaluate(expression: str) -> Any:
                script = f"return Promise.resolve({expression}).then(v => JSON.stringify(v === undefined ? null : v))"
                return json.loads(await ask("POST", f"/session/{session}/execute/sync", script=script, args=[]))

            async def goto(url: str) -> Any:
                return await ask("POST", f"/session/{session}/url", url=url)

            yield Engine(goto, evaluate)
            await ask("DELETE", f"/session/{session}")
    finally:
        await _end(process)
        await _end(display)


ENGINES: Final[dict[str, Callable[[Path], AbstractAsyncContextManager[Engine]]]] = {
    "firefox": firefox,
    "webkit": webkit,
}


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(10):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
