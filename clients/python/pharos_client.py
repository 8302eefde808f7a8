"""Sends events from a server to a Pharos collector: in batches, again with the same ids until they are acknowledged.

Long: one file, so that it can be copied into a server's code.
"""

from __future__ import annotations

import atexit
import http.client
import json
import logging
import os
import queue
import random
import secrets
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Client", "Event", "Unsent"]

MOST_EVENTS = 500
MOST_BYTES = 1_000_000
"""Bounds of one request: the collector takes 500 events and 1 MiB."""
SHORTEST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
LONGEST_RETRY_AFTER_S = 3600.0
_SPOILT = (400, 413)
"""Statuses of a body that is refused as a whole. The other errors are of the way or of the token, and may pass."""

Event = dict[str, Any]
_log = logging.getLogger("pharos_client")


class Unsent(Exception):
    """A `with` block ended, and some events are not sent: `events`."""

    def __init__(self, events: list[Event]) -> None:
        super().__init__(f"{len(events)} events were not sent")
        self.events = events


class _Waiting:
    """One event and its JSON."""

    __slots__ = ("event", "text")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.text = json.dumps(event, separators=(",", ":"), default=str, allow_nan=False).encode()


class Client:
    """Sends events to `/v1/events` from a thread of its own. All methods may be called from any thread."""

    def __init__(
        self,
        base: str,
        *,
        token: str,
        site: str = "",
        timeout_s: float = 10.0,
        linger_s: float = 0.5,
        most_waiting: int = 10_000,
        on_refused: Callable[[Event, str], None] | None = None,
    ) -> None:
        """Send to the collector at `base`, such as https://px.example.com, with the token of `site`.

        Args:
            base: the collector's address; a path in it is kept.
            token: the bearer token that the site lists in `sites.toml`.
            site: the site of events that name none.
            timeout_s: how long one request may take.
            linger_s: how long an event may wait for others in its batch.
            most_waiting: how many events may wait.
            on_refused: called in the client's thread with each event that the collector refuses for good, and why.

        Raises:
            ValueError: `base` is not an http or https address.
        """
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http or https address: {base!r}")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._path = parts.path.rstrip("/") + "/v1/events"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._site = site
        self._timeout_s, self._linger_s = timeout_s, linger_s
        self._most_waiting = most_waiting
        self._on_refused = on_refused
        self._begin()
        atexit.register(self.close, 5.0)

    def _begin(self) -> None:
        """Start with an empty queue in this process."""
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._closing = self._hurry = False
        self._thread: threading.Thread | None = None
        self._connection: http.client.HTTPConnection | None = None

    def send(self, event: str, **fields: Any) -> str:
        """Queue an event; returns its id. The fields are those of the collector's JSON; a Decimal becomes text.

        Raises:
            queue.Full: `most_waiting` events wait, or the client is closed.
            ValueError: a field cannot be written as JSON, or the event is too large for a request.
        """
        one: Event = {"event": event, **fields}
        if self._site:
            one.setdefault("site", self._site)
        now_ms = int(time.time() * 1000)
        one.setdefault("id", _uuid7(now_ms))
        one.setdefault("time", now_ms)
        waiting = _Waiting(one)
        if len(waiting.text) > MOST_BYTES:
            raise ValueError(f"the event has {len(waiting.text)} bytes, more than {MOST_BYTES}")
        if self._pid != os.getpid():
            self._begin()
        with self._changed:
            if self._closing or len(self._waiting) >= self._most_waiting:
                raise queue.Full("the client is closed" if self._closing else "too many events wait")
            self._waiting.append(waiting)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pharos_client", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return str(one["id"])

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Send what waits without delay; returns whether all of it was acknowledged or refused in time."""
        if self._pid != os.getpid():
            return True
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: not self._waiting, timeout_s)
            self._hurry = False
            return done

    def close(self, timeout_s: float = 30.0) -> list[Event]:
        """Send what waits, then stop; returns the events that are not sent."""
        if self._pid != os.getpid():
            return []
        self.flush(timeout_s)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            left = [one.event for one in self._waiting]
        atexit.unregister(self.close)
        return left

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: object, problem: object, trace: object) -> None:
        left = self.close()
        if left and problem is None:
            raise Unsent(left)

    # The thread.

    def _run(self) -> None:
        failures = 0
        most = MOST_EVENTS
        while True:
            batch = self._next(most)
            if not batch:
                if self._connection is not None:
                    self._connection.close()
                return
            status, body, retry_after_s = self._post(batch)
            spoilt = status in _SPOILT and "refused" not in body
            if spoilt and len(batch) > 1:
                most = len(batch) // 2  # one event spoils the body: find it
                continue
            if spoilt or 200 <= status < 300 or "refused" in body:
                failures, most = 0, MOST_EVENTS
                self._settle(batch, body, str(body.get("reason", status)) if spoilt else "")
                continue
            failures += 1
            pause_s = min(LONGEST_PAUSE_S, SHORTEST_PAUSE_S * 2 ** min(failures - 1, 10)) * _jitter()
            _log.warning("%s from %s; %d events wait", status or "no answer", self._host, len(self._waiting))
            self._pause(max(pause_s, retry_after_s))

    def _next(self, most: int) -> list[_Waiting]:
        """Wait for events; returns a batch of the oldest, which stay in the queue; empty when the client closes."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if not self._closing:
                full = MOST_EVENTS
                self._changed.wait_for(
                    lambda: self._closing or self._hurry or len(self._waiting) >= full, self._linger_s
                )
            if self._closing:
                return []
            batch: list[_Waiting] = []
            size = 0
            for one in self._waiting:
                size += len(one.text) + 1
                if len(batch) == most or size > MOST_BYTES:
                    break
                batch.append(one)
            return batch

    def _post(self, batch: list[_Waiting]) -> tuple[int, dict[str, Any], float]:
        """Send a batch once; returns status (0: no answer), the answer's JSON, and Retry-After in seconds."""
        now = b',"sent_at":%d}' % (time.time() * 1000)
        sent = b"[" + b",".join(one.text if "sent_at" in one.event else one.text[:-1] + now for one in batch) + b"]"
        try:
            if self._connection is None:
                kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
                self._connection = kind(self._host, self._port, timeout=self._timeout_s)
            self._connection.request("POST", self._path, sent, self._headers)
            answer = self._connection.getresponse()
            text = answer.read()
            if answer.will_close:
                self._connection.close()
        except (OSError, http.client.HTTPException):
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return 0, {}, 0.0
        try:
            body = json.loads(text)
        except ValueError:
            body = {}
        return answer.status, body if isinstance(body, dict) else {}, _seconds(answer.getheader("Retry-After"))

    def _settle(self, batch: list[_Waiting], body: dict[str, Any], spoilt: str) -> None:
        """Take a batch out of the queue, and report what was refused; `spoilt` is the reason against the one event."""
        refused = (
            [(0, spoilt)] if spoilt else [(int(one["index"]), str(one["reason"])) for one in body.get("refused", ())]
        )
        for at, reason in refused:
            event = batch[at].event
            _log.warning("event %s (%s) is refused: %s", event["id"], event["event"], reason)
            if self._on_refused is not None:
                try:
                    self._on_refused(event, reason)
                except Exception:  # noqa: BLE001  the caller's own function must not end the thread
                    _log.exception("on_refused failed")
        with self._changed:
            for _ in batch:
                self._waiting.popleft()
            self._changed.notify_all()

    def _pause(self, seconds: float) -> None:
        """Wait; new events do not shorten it, closing does."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing, seconds)


def _uuid7(ms: int) -> str:
    """Return a UUID of version 7 (RFC 9562) for the given epoch milliseconds."""
    random_bits = secrets.randbits(74)
    return str(uuid.UUID(int=ms << 80 | 7 << 76 | (random_bits >> 62) << 64 | 2 << 62 | random_bits & (1 << 62) - 1))


def _jitter() -> float:
    """Return a factor that spreads the attempts of many clients."""
    return random.uniform(0.5, 1.0)  # noqa: S311


def _seconds(retry_after: str | None) -> float:
    """Return a Retry-After header in seconds from now, at most an hour; 0 where there is none that can be read."""
    if not retry_after:
        return 0.0
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (TypeError, ValueError):
            return 0.0
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)
