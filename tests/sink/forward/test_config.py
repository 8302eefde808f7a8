"""destinations.toml: what is right, and that each fault is named with its place."""

from pathlib import Path
from typing import get_args

import pytest

from sink.forward.config import AnyDestination, ConfigError, MetaDestination, read, refusing_sites

META = """
[destinations.meta-shop]
platform = "meta"
pixel = "123"
sites = ["shop"]
events = { purchase = "Purchase" }
credential_file = "meta-token"
"""


def test_a_destination() -> None:
    one = read(META)["meta-shop"]
    assert isinstance(one, MetaDestination)
    assert (one.purpose, one.hold_s, one.refunds, one.user_data, one.address) == ("advertising", 60, True, (), False)
    assert one.server == "https://graph.facebook.com"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"meta"', '"mta"'), "destinations.meta-shop: Invalid value 'mta'"),
        (('pixel = "123"', ""), "missing required field `pixel`"),
        (('pixel = "123"', 'pixel = "12 3"'), "destinations.meta-shop: Expected `str` matching regex"),
        (('sites = ["shop"]', "sites = []"), "length >= 1"),
        (('{ purchase = "Purchase" }', "{}"), "length >= 1"),
        (('{ purchase = "Purchase" }', '{ "a b" = "Purchase" }'), "'a b' cannot be the name of an event"),
        (('{ purchase = "Purchase" }', '{ purchase = "" }'), "events.purchase: name what the platform calls it"),
        (('{ purchase = "Purchase" }', '{ refund = "x" }'), "set refunds = false"),
        (("meta-shop", "Meta"), "destinations.Meta: the name must be"),
        (("pixel", "pixl"), "destinations.meta-shop"),
        (('pixel = "123"', 'pixel = "1"\nendpoint = "http://evil.example"'), "must begin with https://"),
        (('pixel = "123"', 'pixel = "1'), "not TOML"),
        (('pixel = "123"', 'pixel = "1"\npurpose = "analytics"'), 'needs consent to "advertising"'),
        (('pixel = "123"', 'pixel = "1"\nuser_data = ["name"]'), "destinations.meta-shop: Invalid enum value 'name'"),
    ],
)
def test_a_fault_is_named(change: tuple[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(META.replace(*change))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_only_sites_that_respect_gpc() -> None:
    assert refusing_sites('[sites.a]\n[sites.b]\ngpc = "ignore"\n[sites.c]\ngpc = "refuse"\n') == {"a", "c"}


def test_the_example() -> None:
    text = (Path(__file__).parents[3] / "deploy/destinations.example.toml").read_text()
    assert {type(one).__name__ for one in read(text).values()} == {kind.__name__ for kind in get_args(AnyDestination)}
