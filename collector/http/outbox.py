"""The replies of one event-loop turn, in the order of their requests: sent when the turn's records are written."""

import time
from collections.abc import Callable
from typing import Final

from collector.http.fast_path import FastPath, Reply
from collector.http.request_id import fresh
from collector.metrics import Histogram, Tally
from collector.policy.refusal import Refusal
from collector.spool.writer import SpoolRefused
from stage import log


class Recipient:
    """A connection that has replies in an Outbox."""

    __slots__ = ("due", "write")

    def __init__(self) -> None:
        self.write: Callable[[bytes], None] = drop
        self.due = 0
        """Replies that are decided and not yet written."""

    def go_on(self) -> None:
        """Continue what had to wait until all replies of the turn are written."""
        raise NotImplementedError


def drop(answer: bytes) -> None:
    """Take the place of `write` on a connection that is not open yet, or no longer."""


class Outbox:
    """One turn's replies."""

    __slots__ = ("_began", "_fast", "_recipients", "_replies", "_tally", "_took", "followers", "turn")

    def __init__(self, fast: FastPath, turn: int, tally: Tally, took: Histogram) -> None:
        """`turn` is the number of the group commit's turn; `took` observes the time from here to the last answer."""
        self.turn: Final = turn
        self.followers: Final[list[Recipient]] = []
        """Recipients whose `go_on` is called after the last reply."""
        self._fast: Final = fast
        self._tally: Final = tally
        self._took: Final = took
        self._began: Final = time.perf_counter()  # uvloop's own clock does not move during a turn
        self._recipients: Final[list[Recipient]] = []
        self._replies: Final[list[Reply]] = []

    def add(self, recipient: Recipient, reply: Reply) -> None:
        """Add the reply to a recipient's next request."""
        recipient.due += 1
        self._recipients.append(recipient)
        self._replies.append(reply)

    def committed(self, refused: SpoolRefused | None) -> None:
        """Send the replies: the records are written, or `refused`, which the replies say instead."""
        if refused is None:
            for recipient, reply in zip(self._recipients, self._replies, strict=True):
                recipient.due -= 1
                recipient.write(reply.answer)
        else:
            self._refuse(refused)
        if self._replies:
            self._took.observe(time.perf_counter() - self._began, len(self._replies))
        for follower in self.followers:
            follower.go_on()

    def _refuse(self, refused: SpoolRefused) -> None:
        refused_id = fresh()  # one for the whole turn: its requests fail for one reason, and share its log line
        stored = False
        for recipient, reply in zip(self._recipients, self._replies, strict=True):
            recipient.due -= 1
            recipient.write(self._fast.unavailable(reply, refused_id))
            outcome = reply.outcome
            if outcome is not None and outcome.records:
                stored = True
                for verdict in outcome.verdicts:
                    if verdict.recorded:
                        verdict.hits -= 1
                        self._tally.add("hits_total", verdict.site, Refusal.SPOOL)
        if stored:
            log.line("warning", "answered 503", request_id=refused_id, route="fast path", why=refused.why)
