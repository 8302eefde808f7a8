"""Golden examples of each contract: the producer encodes to them, the consumer decodes them."""

from pathlib import Path

import msgspec
import pytest

from collector import contract as hits
from enricher import contract as events

GOLDEN = Path(__file__).parent / "contracts"


def lines(name: str) -> list[bytes]:
    return (GOLDEN / name).read_bytes().splitlines()


@pytest.mark.parametrize("record", lines("hit.jsonl"))
def test_hit_round_trip(record: bytes) -> None:
    assert hits.encode(hits.decode(record)) == record


@pytest.mark.parametrize("record", lines("event.jsonl"))
def test_event_round_trip(record: bytes) -> None:
    assert events.encode_row(events.decode_row(record)) == record + b"\n"


@pytest.mark.parametrize("record", lines("dead.jsonl"))
def test_dead_hit_round_trip(record: bytes) -> None:
    assert events.encode_dead(events.decode_dead(record)) == record


def test_another_version_is_refused() -> None:
    record = lines("hit.jsonl")[0].replace(b'"v":1', b'"v":2')
    with pytest.raises(msgspec.ValidationError, match=r"\$\.v"):
        hits.decode(record)
