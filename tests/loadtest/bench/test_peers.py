"""Which hits of a run a text names: what the bench of the peers calls lost hangs on it."""

from loadtest.bench.peers import named
from loadtest.traffic.request_template import hit_id, hit_uuid

RUN = "0badcafe"


def test_a_hit_is_named_by_its_id_in_both_forms_and_counted_once() -> None:
    texts = [
        f'{{"id":"{hit_uuid(RUN, 0, 7, 1_795_334_400_000)}"}},{{"id":"{hit_id(RUN, 0, 8)}"}}'.encode(),
        f"GET /p.gif?x.lt={hit_id(RUN, 0, 8)}&r=1".encode(),
        f"GET /c/code?gclid={hit_id(RUN, 0, 0xFFFFFFFF)} HTTP/1.1".encode(),
    ]
    assert named(texts, RUN) == {7, 8, 0xFFFFFFFF}


def test_hits_of_another_run_are_not_named() -> None:
    assert named([hit_id("0badcaff", 0, 1).encode(), hit_uuid("0badcaff", 0, 1, 1).encode(), b""], RUN) == set()
