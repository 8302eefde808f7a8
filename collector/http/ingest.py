"""What every way in shares: the ruleset's knowledge, fresh ids, and `accept`, which returns when hits are written."""

import time
from collections.abc import Sequence

from collector.contract import Hit, encode
from collector.http.ids import Ids
from collector.metrics import Tally
from collector.policy.client_address import client_address
from collector.policy.refusal import Refusal
from collector.policy.ruleset import Ruleset
from collector.spool.group_commit import Turn
from collector.spool.writer import SpoolRefused

__all__ = ["Intake", "SpoolRefused"]


class Intake:
    """One worker's way in. `ruleset` may be replaced at any time (a new sites.toml): read it once a request."""

    def __init__(self, ruleset: Ruleset, turn: Turn, ids: Ids, tally: Tally) -> None:
        self.ruleset = ruleset
        self.turn = turn
        self.ids = ids
        self.tally = tally
        self.draining = False
        """Answers say `Connection: close`, so that clients turn to another host."""

    @staticmethod
    def now_ms() -> int:
        """Return epoch milliseconds."""
        return time.time_ns() // 1_000_000

    async def accept(self, hits: Sequence[Hit]) -> None:
        """Write hits to the spool, all or none, and count them; when this returns they are safe and may be answered.

        Raises:
            SpoolRefused: the spool is full or its disk fails: answer 503 with `Retry-After`.
        """
        if not hits:
            return
        await self.turn.accept([encode(hit) for hit in hits])
        for hit in hits:
            self.tally.add("hits_total", hit.site, "accepted")

    def doubt(self, peer: str, forwarded: str) -> None:
        """Count an address header that is not believed."""
        if fault := client_address(peer, forwarded, self.ruleset.trusted).fault:
            self.tally.add("address_faults_total", fault)

    def refuse(self, site: str, reason: Refusal) -> None:
        """Count a refused hit; `site` is a configured site's key, or empty."""
        self.tally.add("hits_total", site, reason)
