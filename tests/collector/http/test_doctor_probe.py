"""`/doctor`: the source and cut address of the very request that asks, by the doctor's mark alone."""

from pathlib import Path

import pytest

from collector.http.doctor_probe import MARK, PATH, SeenAs, judged
from collector.policy.client_address import Address
from tests.collector.surface import running

MINE = Address("198.51.100.7", "")


@pytest.mark.parametrize(
    ("address", "fields", "told"),
    [
        (MINE, {}, SeenAs("peer", "198.51.100.0", ())),
        (MINE, {"x-forwarded-for": "198.51.100.7"}, SeenAs("header", "198.51.100.0", ())),
        (Address("2001:db8:1:2::9", ""), {}, SeenAs("peer", "2001:db8:1::", ())),
        (Address("10.0.3.4", "untrusted"), {"x-forwarded-for": "198.51.100.7"}, SeenAs("untrusted", "", ())),
        (Address("10.0.3.4", "broken"), {"x-forwarded-for": "?"}, SeenAs("broken", "", ())),
        (MINE, {"cf-connecting-ip": "198.51.100.7", "cloudfront-viewer-address": "198.51.100.7:44"}, None),
        (MINE, {"cf-connecting-ip": "192.0.2.9"}, SeenAs("peer", "198.51.100.0", ("cf-connecting-ip",))),
        (MINE, {"true-client-ip": "x"}, SeenAs("peer", "198.51.100.0", ("true-client-ip",))),
    ],
)
def test_what_is_told(address: Address, fields: dict[str, str], told: SeenAs | None) -> None:
    """None: nothing but the peer."""
    assert judged(address, "x-forwarded-for", fields) == (told or SeenAs("peer", "198.51.100.0", ()))


async def test_nobody_but_the_doctor_is_told_and_nothing_is_kept(tmp_path: Path) -> None:
    async with running(tmp_path) as surface:
        async with surface.client.get(PATH) as answer:
            assert answer.status == 404
        # What a page of any origin would have to ask first.
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Headers": MARK}
        async with surface.client.options(PATH, headers=asked) as answer:
            assert answer.status == 404
        sent = {MARK: "address", "X-Forwarded-For": "198.51.100.7", "Cookie": "_pid=" + "0" * 32}
        async with surface.client.get(PATH, headers=sent) as answer:
            assert await answer.json() == {"source": "header", "address": "198.51.100.0", "others": []}
            assert "no-store" in answer.headers["Cache-Control"]
            assert "Set-Cookie" not in answer.headers
            assert "Access-Control-Allow-Origin" not in answer.headers
        assert surface.hits == []
        assert b"198.51" not in surface.spool_bytes()
        assert not any(name[0] == "address_faults_total" for name in surface.ingest.tally.values)
