"""Identity and consent, over every combination there is; and the cookie header, which anyone may write."""

import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.policy.consent import COOKIE_MAX_AGE_S, DNT, GPC, VISITOR, Identity, forget, identify
from collector.policy.cookies import HAS_ID, read
from collector.policy.sites import Site
from tests.collector import scale

THEIRS, FRESH = "7" * 32, "f" * 32
TABLE: dict[str, list[dict[str, Any]]] = yaml.safe_load(Path(__file__).with_name("consent.yml").read_text())

AXES: dict[str, tuple[Any, ...]] = {
    "identity": ("cookie", "cookieless", "none"),
    "consent": ("required", "assumed", "off"),
    "gpc": ("refuse", "ignore"),
    "dnt": ("refuse", "ignore"),
    "without_consent": ("count", "cookieless", "drop"),
    "opted_out": (False, True),
    "id": (False, True),
    "remembered": ("", "0", "1"),
    "sec_gpc": (False, True),
    "sec_dnt": (False, True),
    "n": ("", "0", "1", "true"),
}
COMBINATIONS = [dict(zip(AXES, values, strict=True)) for values in product(*AXES.values())]


def first_row(table: str, facts: Mapping[str, Any]) -> Any:
    for row in TABLE[table]:
        assert row["when"].keys() <= facts.keys(), row
        if all(facts[name] in (want if isinstance(want, list) else [want]) for name, want in row["when"].items()):
            row["used"] = True
            return row["then"]
    raise AssertionError(f"no row for {facts}")


def ask(facts: Mapping[str, Any]) -> Identity:
    cookies = ["session=secret"]
    if facts["id"]:
        cookies.append(f"_pid={THEIRS}")
    if facts["remembered"]:
        cookies.append(f"_pcs={facts['remembered']}")
    if facts["opted_out"]:
        cookies.append("_pno=1")
    return identify(
        Site(**{name: facts[name] for name in ("identity", "consent", "gpc", "dnt", "without_consent")}),
        cookies=read("; ".join(cookies)).state,
        signals=GPC * facts["sec_gpc"] + DNT * facts["sec_dnt"],
        consent_param=facts["n"],
        domain="",
    )


def test_every_combination_is_decided_by_the_table() -> None:
    sources = {"theirs": "cookie", "fresh": "fresh", "hash": "cookieless", "none": ""}
    kinds = {"theirs": "cookie", "fresh": "cookie", "hash": "cookieless", "none": "none"}
    for facts in COMBINATIONS:
        decided = first_row("consent", facts)
        want = first_row("outcome", facts | {"decided": decided})
        if want["visitor"] == "by_policy":
            want = want | first_row("by_policy", facts)
        got = ask(facts)
        said = {"facts": facts, "got": got}
        assert got.consent == decided, said
        assert (got.source, got.visitor_kind) == (sources[want["visitor"]], kinds[want["visitor"]]), said
        assert (got.recorded, got.refusal) == (want.get("recorded", True), want.get("refusal", "")), said
        assert got.allowed == (facts["consent"] == "off" if decided == "unknown" else decided != "refused"), said
        cookies = [re.sub("theirs|fresh", VISITOR, cookie) for cookie in want["cookies"]]
        assert [cookie.partition(";")[0] for cookie in got.set_cookies] == cookies, said
    unused = [row for rows in TABLE.values() for row in rows if "used" not in row]
    assert not unused, "a row that no combination reaches shows nothing"


@pytest.mark.parametrize("facts", [facts for facts in COMBINATIONS if facts["opted_out"]][::97])
def test_an_opt_out_never_asks_for_a_hash(facts: dict[str, Any]) -> None:
    assert not ask(facts).recorded


def test_cookies_carry_the_attributes_that_were_promised() -> None:
    facts = {name: values[0] for name, values in AXES.items()} | {"consent": "assumed"}
    assert ask(facts).set_cookies == (
        f"_pid={VISITOR}; Max-Age={COOKIE_MAX_AGE_S}; Path=/; Secure; HttpOnly; SameSite=Lax",
    )
    assert forget("example.com", "_pid") == (
        "_pid=; Max-Age=0; Path=/; Domain=example.com; Secure; HttpOnly; SameSite=Lax",
        "_pid=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax",
    )
    assert forget("", "_pid") == ("_pid=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax",)


def scopes(cookies: str, n: str, domain: str = "example.com") -> set[tuple[str, bool]]:
    """Return each cookie that is set or deleted, up to its value, and whether for the whole domain."""
    got = identify(Site(), cookies=read(cookies).state, signals=0, consent_param=n, domain=domain)
    return {(each.partition(";")[0].replace(VISITOR, "id"), "Domain=example.com" in each) for each in got.set_cookies}


@pytest.mark.parametrize(
    ("cookies", "n", "found"),
    [
        ("", "1", {("_pid=id", True), ("_pcs=1", True), ("_pcs=", False)}),
        (f"_pcs=1; _pid={THEIRS}", "0", {("_pcs=0", True), ("_pcs=", False), ("_pid=", True), ("_pid=", False)}),
        (
            f"_pid={THEIRS}; _pid={THEIRS}",
            "1",
            {("_pid=id", True), ("_pid=", False), ("_pcs=1", True), ("_pcs=", False)},
        ),
        ("_pno=1; _pcs=1", "", {("_pno=1", True), ("_pcs=", True), ("_pcs=", False)}),
    ],
)
def test_what_is_set_or_deleted_is_so_in_both_scopes(cookies: str, n: str, found: set[tuple[str, bool]]) -> None:
    assert scopes(cookies, n) == found


@pytest.mark.parametrize(
    ("cookies", "consent"),
    [
        ("_pcs=1; _pcs=0", "refused"),
        ("_pcs=0; _pcs=1", "refused"),
        ("_pcs=1; _pcs=1", "given"),
        ("_pcs=; _pcs=1", "given"),
        ("_pcs=x; _pcs=1", "given"),
    ],
)
def test_of_several_consent_cookies_a_refusal_wins(cookies: str, consent: str) -> None:
    assert identify(Site(), cookies=read(cookies).state, signals=0, consent_param="", domain="").consent == consent


@pytest.mark.parametrize("cookies", ["_pno=0; _pno=1", "_pno=1; _pno=0", "_pno=; _pno=1"])
def test_of_several_opt_out_cookies_an_opt_out_wins(cookies: str) -> None:
    assert identify(Site(), cookies=read(cookies).state, signals=0, consent_param="1", domain="").refusal == "opted_out"


def visitor(cookies: str) -> str:
    known = read(cookies)
    assert bool(known.visitor) == bool(known.state & HAS_ID)
    return known.visitor.decode() or FRESH


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        (f"_pid={THEIRS}", THEIRS),
        (f"a=b; _pid={THEIRS}; c=d", THEIRS),
        (f"a=b;_pid={THEIRS};c=d", THEIRS),
        (f"not_pid={'1' * 32}; _pid={THEIRS}", THEIRS),
        (f"x_pid={THEIRS}", FRESH),
        (f"a=_pid={THEIRS}", FRESH),
        (f"_pid={THEIRS[:-1]}", FRESH),
        (f"_pid=GA1.2.3; _pid={THEIRS}", THEIRS),
        (f"_pid={THEIRS}x; _pid={THEIRS}", THEIRS),
        (f"_pid={THEIRS}; _pid={FRESH}", THEIRS),
        (f"_pid={THEIRS}7", FRESH),
        (f"_pid={'F' * 32}", FRESH),
        ("_pid=", FRESH),
        ("_pid", FRESH),
        ("", FRESH),
        (f'_pid="{THEIRS}"', FRESH),
        (f"_PID={THEIRS}", FRESH),
    ],
)
def test_only_our_own_well_formed_cookie_is_taken(cookies: str, expected: str) -> None:
    assert visitor(cookies) == expected


@settings(max_examples=scale.of(small=100, full=2_000), deadline=None)
@given(st.text(alphabet="_pidcsno=01f7; \tx\0é\ud800", max_size=80), st.text(max_size=4))
def test_any_cookie_header_gives_an_identity_and_only_well_formed_answers(cookies: str, n: str) -> None:
    got = identify(Site(), cookies=read(cookies).state, signals=0, consent_param=n, domain="")
    for cookie in got.set_cookies:
        assert cookie.isascii()
        assert cookie.isprintable()
