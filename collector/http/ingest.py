"""What every route shares: the present ruleset's decisions, the group commit, and the metrics' counts."""

import time
from typing import Final

from collector.http.fast_path import FastPath
from collector.metrics import Tally
from collector.policy.ids import Ids
from collector.policy.outcome import Outcome, Outcomes
from collector.policy.refusal import Refusal
from collector.policy.refused_hits import RefusedHits
from collector.policy.ruleset import Ruleset
from collector.spool.group_commit import GroupCommit
from collector.spool.writer import SpoolRefused


class Ingest:
    """One worker's path from a request to the spool."""

    def __init__(self, ruleset: Ruleset, commit: GroupCommit, ids: Ids, tally: Tally) -> None:
        self.commit: Final = commit
        self.tally: Final = tally
        self._ids: Final = ids
        self.refused_hits: Final = RefusedHits()
        """The last refusals, under any ruleset."""
        self.fast = FastPath(ruleset, ids, self.refused_hits)
        """Of the present ruleset; may be replaced at any time, so it is to be read once a request."""
        self.draining = False
        """Answers say `Connection: close`, so that clients turn to another host."""

    @property
    def ruleset(self) -> Ruleset:
        """The present ruleset."""
        return self.fast.ruleset

    @ruleset.setter
    def ruleset(self, ruleset: Ruleset) -> None:
        self.count()
        closed = self.fast.closed
        self.fast = FastPath(ruleset, self._ids, self.refused_hits)
        if closed:
            self.fast.close()

    @staticmethod
    def now_ms() -> int:
        """Return epoch milliseconds."""
        return time.time_ns() // 1_000_000

    def present(self) -> FastPath:
        """Return the present ruleset's fast path, its clock set."""
        self.fast.tick(self.now_ms())
        return self.fast

    def outcomes(self) -> Outcomes:
        """Return what decides requests by the present ruleset, its clock set."""
        return self.present().outcomes

    def drain(self) -> None:
        """Leave every request to aiohttp, whose answers ask clients to close the connection."""
        self.draining = True
        self.fast.close()

    async def accept(self, outcome: Outcome) -> bool:
        """Write a request's records to the spool, all or none; after True they are safe.

        Returns False if the spool is full or its disk fails: the answer is 503 with `Retry-After`.
        """
        if not outcome.records:
            return True
        try:
            await self.commit.accept(outcome.records)
        except SpoolRefused:
            self.refuse_recorded(outcome)
            return False
        return True

    def refuse_recorded(self, outcome: Outcome) -> None:
        """Count the hits of an outcome as refused by the spool."""
        for verdict in outcome.verdicts:
            if verdict.recorded:
                verdict.hits -= 1
                self.tally.add("hits_total", verdict.site, Refusal.SPOOL)
        for _, site, field in outcome.dropped:
            self.tally.add("dropped_fields_total", site, field, by=-1)

    def count(self) -> None:
        """Put what was decided since the last call into the tally."""
        fast = self.fast
        for site, result, hits in fast.outcomes.counts():
            self.tally.add("hits_total", site, result, by=hits)
        if fast.replies:
            self.tally.add("requests_total", "fast", by=fast.replies)
            fast.replies = 0
        faults = fast.outcomes.address_faults
        for fault, requests in faults.items():
            self.tally.add("address_faults_total", fault, by=requests)
        faults.clear()
        dropped = fast.outcomes.dropped_fields
        for (site, field), events in dropped.items():
            self.tally.add("dropped_fields_total", site, field, by=events)
        dropped.clear()
