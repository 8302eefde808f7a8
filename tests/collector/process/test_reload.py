"""The ruleset of a worker, from settings: whose headers it reads, by each CDN's preset."""

import json
from pathlib import Path

import pytest

from collector import settings
from collector.policy.client import client
from collector.policy.client_address import client_address
from collector.policy.ruleset import Ruleset
from collector.process import reload
from collector.process.site_files import Rules

BASE = {"PHAROS_COLLECTOR_SITES": "sites.toml"}
PROXY = {"PHAROS_COLLECTOR_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.7"}


def made(**extra: str) -> Ruleset:
    read = settings.read({**BASE, **PROXY, **{f"PHAROS_COLLECTOR_{name}": text for name, text in extra.items()}})
    return reload.build(read, Rules({}, {}), reload.salt_of(read, lambda: 0))


def places(rest_json: bytes) -> tuple[str, str, str]:
    """Return the places in a record's fields."""
    fields = json.loads(b'{"":0' + rest_json + b"}")
    return fields.get("geo_country", ""), fields.get("geo_region", ""), fields.get("geo_city", "")


@pytest.mark.parametrize(
    ("cdn", "headers", "place"),
    [
        ("nginx", {"x-forwarded-for": "6.6.6.6, 203.0.113.9, 192.0.2.7"}, ("", "", "")),
        (
            "cloudfront",
            {
                "cloudfront-viewer-address": "203.0.113.9:46532",
                "cloudfront-viewer-country": "AT",
                "cloudfront-viewer-country-region": "9",
                "cloudfront-viewer-city": "Wien",
                "x-forwarded-for": "6.6.6.6",
            },
            ("AT", "9", "Wien"),
        ),
        (
            "cloudflare",
            {"cf-connecting-ip": "203.0.113.9", "cf-ipcountry": "AT", "cf-region-code": "9", "cf-ipcity": "Wien"},
            ("AT", "9", "Wien"),
        ),
        ("fastly", {"fastly-client-ip": "203.0.113.9", "x-geo-country": "AT"}, ("AT", "", "")),
        ("akamai", {"true-client-ip": "203.0.113.9", "x-geo-city": "Wien"}, ("", "", "Wien")),
    ],
)
def test_presets(cdn: str, headers: dict[str, str], place: tuple[str, str, str]) -> None:
    through = made(CDN=cdn)
    forwarded = headers.get(through.forwarded_header, "")
    assert client_address("10.1.2.3", forwarded, through.trusted) == ("203.0.113.9", "")
    assert client_address("198.51.100.1", forwarded, through.trusted) == ("198.51.100.1", "untrusted")
    assert places(client(headers, through.geo_headers).rest_json) == place


def test_a_header_of_ones_own_keeps_the_presets_place() -> None:
    through = made(CDN="cloudflare", CLIENT_IP_HEADER="X-Real-IP")
    headers = {"x-real-ip": "203.0.113.9", "cf-ipcountry": "AT", "cf-connecting-ip": "6.6.6.6"}
    assert client_address("192.0.2.7", headers[through.forwarded_header], through.trusted).ip == "203.0.113.9"
    assert places(client(headers, through.geo_headers).rest_json) == ("AT", "", "")


def test_keys_ages_and_the_salts_folder(tmp_path: Path) -> None:
    through = made(LINK_KEY="k" * 16, LINK_KEYS_BEFORE="older,oldest", MAX_EVENT_AGE_H="1", SALT_DIR=str(tmp_path))
    assert through.link_keys == (b"k" * 16, b"older", b"oldest")
    assert through.back_ms == 3_600_000
    assert len(through.cookieless("shop", "203.0.113.9", "UA")) == 32
    assert [path.name for path in tmp_path.iterdir()] == ["1970-01-01"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("TRUSTED_PROXIES", "10.0.0.0/33", r"PHAROS_COLLECTOR_TRUSTED_PROXIES: .*10\.0\.0\.0/33"),
        ("TRUSTED_PROXIES", "proxy.example", "PHAROS_COLLECTOR_TRUSTED_PROXIES: .*proxy.example"),
        ("COOKIE_DOMAIN", "a.example; Path=/x", "PHAROS_COLLECTOR_COOKIE_DOMAIN: "),
        ("COOKIE_DOMAIN", "a.example\r\nX: y", "PHAROS_COLLECTOR_COOKIE_DOMAIN: "),
        ("COOKIE_DOMAIN", ".a.example", "PHAROS_COLLECTOR_COOKIE_DOMAIN: "),
        ("CLIENT_IP_HEADER", "X-Real-IP:", "PHAROS_COLLECTOR_CLIENT_IP_HEADER: "),
        ("CDN", "other", "PHAROS_COLLECTOR_CDN: "),
        ("LINK_KEY", "short", "PHAROS_COLLECTOR_LINK_KEY: must have at least 16 characters"),
        ("MAX_EVENT_AGE_H", "0", "PHAROS_COLLECTOR_MAX_EVENT_AGE_H: "),
    ],
)
def test_a_setting_that_cannot_be(name: str, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        settings.read({**BASE, f"PHAROS_COLLECTOR_{name}": text})
