"""Wait for something that another process will do: look often, and give up by name.

Between two looks it pauses for as long as the last look took: those that ask ClickHouse would keep a core busy.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

_T = TypeVar("_T")
_PAUSE_S = 0.05


@overload
async def until(look: Callable[[], Awaitable[_T]], what: str, timeout_s: float = 120) -> _T: ...
@overload
async def until(look: Callable[[], _T], what: str, timeout_s: float = 120) -> _T: ...
async def until(look: Callable[[], Awaitable[_T]] | Callable[[], _T], what: str, timeout_s: float = 120) -> _T:
    """Call `look` until it returns something true, and return that.

    Raises:
        TimeoutError: names `what`, and what `look` returned last.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        began = time.monotonic()
        seen = look()
        value: _T = await seen if isinstance(seen, Awaitable) else seen
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s} s: {what} (last seen: {value!r})")
        await asyncio.sleep(max(_PAUSE_S, time.monotonic() - began))


def until_now(look: Callable[[], _T], what: str, timeout_s: float = 120) -> _T:
    """As `until`, where no event loop runs."""
    deadline = time.monotonic() + timeout_s
    while True:
        began = time.monotonic()
        if value := look():
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s} s: {what} (last seen: {value!r})")
        time.sleep(max(_PAUSE_S, time.monotonic() - began))
