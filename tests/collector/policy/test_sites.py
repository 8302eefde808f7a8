"""`sites.toml`: what is accepted, and the error of a broken file."""

import pytest

from collector.policy.sites import BadSites, Site, parse

GOOD = b"""
[sites.shop]
identity = "cookieless"
ip = "none"
time_zone = "Europe/Berlin"
origins = ["https://shop.example", "http://localhost:8000", "http://[::1]:80"]
redirect_hosts = ["shop.example", "xn--bcher-kva.example"]
tokens = ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]

[sites."blog.example"]
"""


def test_a_good_file() -> None:
    sites = parse(GOOD)
    assert list(sites) == ["shop", "blog.example"]
    assert sites["blog.example"] == Site()
    assert (sites["shop"].time_zone, sites["blog.example"].time_zone) == ("Europe/Berlin", "UTC")
    assert (sites["shop"].identity, sites["shop"].consent, sites["shop"].ip) == ("cookieless", "required", "none")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (b"", 1, "no site"),
        (b"[sites]", 1, "no site"),
        (b"# hello\n\xff", 2, "not UTF-8"),
        (b"\n[sites.a\n", 2, "not TOML"),
        (b"[sites.a]\n[sites.a]\n", 2, "not TOML"),
        (b"[sites.a]\n\nidentity = 'x'\n", 3, "Invalid enum value 'x'"),
        (b"[sites.b]\nip = 'full'\n\n[sites.a]\n# ip = 1\nip = 'half'\n", 6, "site 'a'"),
        (b"[sites.a]\ncookies = true\n", 2, "unknown field `cookies`"),
        (b"[site.a]\n", 1, "unknown table or key 'site'"),
        (b"[sites.a]\n[defaults]\n", 2, "unknown table or key 'defaults'"),
        (b"[sites.Shop]\n", 1, "must be 1-64 of"),
        (b"\n[sites.'']\n", 2, "must be 1-64 of"),
        (b"[sites]\nx = 1\n", 2, "Expected `object`"),
        (b"[sites]\n\na = {ip = 'none', dnt = 'x'}\n", 3, "Invalid enum value 'x'"),
        (b"[sites.a]\norigins = ['https://a.example/']\n", 2, "an origin as browsers send it"),
        (b"[sites.a]\norigins = ['*']\n", 2, "an origin as browsers send it"),
        (b"[sites.a]\norigins = 'https://a.example'\n", 2, "Expected `array`"),
        (b"[sites.a]\nredirect_hosts = ['A.example']\n", 2, "a host in lower case"),
        (b"[sites.a]\n\nmax_value = 0\n", 3, "Expected `int` >= 1"),
        (b"[sites.a]\nmax_value = 100_000_000_000_000\n", 2, "Expected `int` <= 99999999999999"),
        (b"[sites.a]\nmax_value = nan\n", 2, "Expected `int`, got `float`"),
        (b"[sites.a]\nmax_value = '1000'\n", 2, "Expected `int`, got `str`"),
        (b"[sites.a]\ntoken_events = ['purchase', 'a b']\n", 2, "an event's name"),
        (b"[sites.a]\ntokens = ['open sesame']\n", 2, "64 lower-case hex digits"),
        (b"[sites.a]\n\ntime_zone = 'Europe/Berlln'\n", 3, "'Europe/Berlln' is no IANA time zone, such as"),
        (b"[sites.a]\ntime_zone = '+02:00'\n", 2, "is no IANA time zone"),
        (b"[sites.a]\ntime_zone = ''\n", 2, "is no IANA time zone"),
        (b"[sites.a]\ntime_zone = 2\n", 2, "Expected `str`, got `int`"),
    ],
)
def test_a_broken_file_is_told_line_and_reason(text: bytes, line: int, reason: str) -> None:
    with pytest.raises(BadSites) as told:
        parse(text)
    said = str(told.value)
    assert f"line {line}" in said
    assert reason in said
    assert "\n" not in said
