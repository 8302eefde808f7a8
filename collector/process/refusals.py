"""The admin port's `/refused`: the last refusals of all workers, as JSON. docs/privacy.md says what is in them."""

from collections.abc import Iterable

import orjson

from collector.metrics import RefusedEntry
from collector.policy.refused_hits import MOST, RefusedHit


def as_json(collector: str, workers: Iterable[list[RefusedEntry]]) -> bytes:
    """Return `{"collector": ..., "refused": [...]}`: at most MOST entries, each a RefusedHit, the last refused first.

    `collector` tells collectors apart behind one balancer.
    """
    found: dict[tuple[str, str, str, str], RefusedHit] = {}
    for entries in workers:
        for entry in entries:
            one = RefusedHit(*entry)
            key = one[:4]
            other = found.get(key)
            if other is not None:
                one = one._replace(
                    hits=one.hits + other.hits,
                    first_ms=min(one.first_ms, other.first_ms),
                    last_ms=max(one.last_ms, other.last_ms),
                )
            found[key] = one
    newest = sorted(found.values(), key=lambda one: one.last_ms, reverse=True)[:MOST]
    return orjson.dumps({"collector": collector, "refused": [one._asdict() for one in newest]})
