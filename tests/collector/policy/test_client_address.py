"""The client's address, as a table; and headers that anyone may forge."""

import ipaddress
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.policy.client_address import PRESETS, Address, Trusted, canonical, client_address, truncate
from tests.collector import scale

TABLE: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("addresses.yml").read_text())


@pytest.mark.parametrize("row", TABLE, ids=[row["says"] for row in TABLE])
def test_address(row: dict[str, Any]) -> None:
    assert row.keys() <= {"says", "peer", "trusted", "form", "header", "want", "fault"}
    trusted = Trusted(row.get("trusted", ()), row.get("form", "chain"))
    assert client_address(row["peer"], row.get("header", ""), trusted) == Address(row["want"], row.get("fault", ""))


def test_a_network_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/33"):
        Trusted(["10.0.0.0/33"])


@pytest.mark.parametrize(
    ("ip", "policy", "expected"),
    [
        ("203.0.113.9", "truncate", "203.0.113.0"),
        ("203.0.113.9", "full", "203.0.113.9"),
        ("203.0.113.9", "none", ""),
        ("2001:db8:1:2:3:4:5:6", "truncate", "2001:db8:1::"),
        ("::1", "truncate", "::"),
        ("2001:db8::6", "full", "2001:db8::6"),
        ("2001:db8::6", "none", ""),
        ("", "truncate", ""),
        ("", "full", ""),
    ],
)
def test_truncation(ip: str, policy: Literal["truncate", "full", "none"], expected: str) -> None:
    assert truncate(ip, policy) == expected


@settings(max_examples=scale.of(small=100, full=2_000), deadline=None)
@given(st.ip_addresses())
def test_truncation_keeps_the_network_and_nothing_else(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    ip = canonical(str(address))
    assert ip is not None
    prefix = 48 if ":" in ip else 24
    assert truncate(ip, "truncate") == canonical(str(ipaddress.ip_network((ip, prefix), strict=False).network_address))


@settings(max_examples=scale.of(small=100, full=2_000), deadline=None)
@given(
    st.text(alphabet="0123456789abcdef.:,[]% \t_\0\ud800", max_size=60),
    st.sampled_from(["chain", "single", "single_with_port"]),
)
def test_any_header_gives_an_address(header: str, form: Literal["chain", "single", "single_with_port"]) -> None:
    address = client_address("10.0.0.1", header, Trusted(["10.0.0.1"], form))
    assert str(ipaddress.ip_address(address.ip)) in (address.ip, "10.0.0.1")
    if address.fault:
        assert address.ip == "10.0.0.1"


@settings(max_examples=scale.of(small=100, full=2_000), deadline=None)
@given(st.ip_addresses())
def test_agrees_with_the_standard_library(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    got = client_address("10.0.0.1", f"garbage, {address}", Trusted(["10.0.0.1"]))
    assert ipaddress.ip_address(got.ip) == (mapped or (address))


def test_presets_name_headers_in_lower_case() -> None:
    assert set(PRESETS) == {"nginx", "cloudfront", "cloudflare", "fastly", "akamai"}
    for cdn in PRESETS.values():
        assert all(name == name.lower() for name in cdn)
