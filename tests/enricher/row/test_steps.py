"""Why a hit became its row: the columns are the row's own, and the sentences name the cause."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.contract import Hit
from enricher.contract import COLUMNS, decode_row
from enricher.row.enrich import Enricher
from enricher.row.steps import Explainer, Step, shown
from enricher.rules.own_hosts import OwnHosts
from enricher.rules.sent_fields import Refusal
from enricher.tables import load_enricher
from tests.enricher.row.test_enrich import CHROME, PLAIN

_UNEXPLAINED = {"site", "version", "ip", "user_agent"}


@pytest.fixture(scope="module")
def enricher() -> Enricher:
    return load_enricher(own_hosts={"shop": OwnHosts(["pay.example"])})


def steps(enricher: Enricher, **fields: object) -> dict[str, Step]:
    found = Explainer(enricher).explain(msgspec.structs.replace(PLAIN, **{"user_agent": CHROME, **fields}))
    assert not isinstance(found, Refusal), found
    return {one.name: one for one in found}


PAGE = "s=shop&u=https%3A%2F%2Fshop.example%2F"


@pytest.mark.parametrize(
    ("fields", "step", "says", "column"),
    [
        ({"query": PAGE}, "sent", "a hit of kind pixel is pageview", ("event", "pageview")),
        ({"query": PAGE + "&e=pageview"}, "sent", "As the sender wrote it", ("event", "pageview")),
        ({"query": "s=shop&u=undefined&c=E"}, "sent", "left empty: currency, url", ("dropped", ("currency", "url"))),
        (
            {"query": "s=shop", "referer": "https://shop.example/p"},
            "page",
            "the Referer header is the page",
            ("path", "/p"),
        ),
        ({"query": PAGE + "%3Femail%3Dkim%40shop.example"}, "page", "masked as ***", ("path", "/")),
        ({"query": "s=shop"}, "page", "names no page", None),
        (
            {"query": PAGE + "&r=https%3A%2F%2Fwww.youtube.com%2F"},
            "referrer",
            "know the host as YouTube, kind video",
            None,
        ),
        ({"query": PAGE + "&r=https%3A%2F%2Fwww.shop.example%2F"}, "referrer", "registrable domain", None),
        ({"query": PAGE + "&r=https%3A%2F%2Fpay.example%2F"}, "referrer", "`ignored_referrers`", None),
        ({"query": PAGE + "&r=https%3A%2F%2Fkim.example%2F"}, "referrer", "No table knows the host", None),
        ({"query": PAGE + "%3Futm_source%3DYT"}, "campaign", "utm_source=YT. What is not named is (not set)", None),
        ({"query": PAGE + "%3Fref%3Dmugblog"}, "campaign", "Named by ref=mugblog", ("source", "mugblog")),
        ({"query": PAGE + "%3Fgclid%3Dx1"}, "campaign", "Named by gclid=x1", ("source", "google")),
        ({"query": PAGE + "&r=https%3A%2F%2Fkim.example%2F"}, "campaign", "the referrer is the source", None),
        ({"query": PAGE + "&r=https%3A%2F%2Fshop.example%2F"}, "campaign", "no source of its own", None),
        ({"query": PAGE}, "campaign", "direct", ("source", "(direct)")),
        ({"kind": "open", "query": "s=shop&m=1&l=news"}, "campaign", "A mail's pixel", ("campaign", "news")),
        (
            {"query": PAGE + "%3Futm_source%3Dyoutube%26utm_medium%3Dvideo"},
            "channel",
            "that holds: ",
            ("channel", "Organic Video"),
        ),
        ({"query": PAGE + "%3Futm_source%3Dkim%26utm_medium%3Dfree"}, "channel", "No rule", ("channel", "Unassigned")),
        ({"query": PAGE}, "client", "no client hints", ("browser", "Chrome")),
        ({"query": PAGE, "sec_ch_ua_platform": '"Linux"'}, "client", "From client hints", ("os", "Linux")),
        ({"query": PAGE}, "bot", "a person", None),
        ({"query": PAGE, "user_agent": "Googlebot/2.1"}, "bot", "matches the user agent: Googlebot", ("is_bot", True)),
        ({"query": PAGE, "purpose": "prefetch"}, "bot", "no person has asked", ("bot_reason", "prefetch")),
        ({"query": PAGE + "&w=1"}, "bot", "navigator.webdriver", ("bot_reason", "webdriver")),
        ({"query": PAGE, "geo_country": "AT"}, "place", "the CDN's headers", ("country", "AT")),
        ({"query": PAGE}, "place", "Neither", None),
        ({"query": PAGE, "consent": "refused"}, "person", "allows none while consent is refused", None),
        (
            {"query": PAGE, "consent": "given", "visitor_id": "9" * 32, "visitor_kind": "cookie"},
            "person",
            "A cookie id, since consent is given",
            ("visitor_id", "9" * 32),
        ),
        ({"query": PAGE + "&id=order-1"}, "identity", "every copy of this event", None),
        ({"query": PAGE}, "identity", "the sender gave none", None),
    ],
)
def test_the_sentence_names_the_cause(
    enricher: Enricher, fields: dict[str, object], step: str, says: str, column: tuple[str, object] | None
) -> None:
    found = steps(enricher, **fields)[step]
    assert says in found.why
    if column is not None:
        assert found.columns[column[0]] == column[1]


TEXT = st.text(max_size=30)
HITS = st.builds(
    lambda kind, text, body, referer: msgspec.structs.replace(
        PLAIN, kind=kind, query=text if kind in ("pixel", "open") else "", body=body, referer=referer
    ),
    st.sampled_from(["pixel", "open", "tag", "click", "server"]),
    st.one_of(TEXT, TEXT.map(lambda text: f"{PAGE}&r={text}&e=x&w=1")),
    st.one_of(
        TEXT, st.fixed_dictionaries({"url": TEXT, "event": TEXT}).map(lambda each: msgspec.json.encode(each).decode())
    ),
    TEXT,
)


@given(HITS)
def test_any_hit_is_explained_with_every_column_of_its_row(enricher: Enricher, hit: Hit) -> None:
    made = enricher.enrich(hit)
    found = Explainer(enricher).explain(hit)
    if isinstance(made, Refusal):
        assert found == made
        return
    assert not isinstance(found, Refusal)
    row = decode_row(made)
    columns = {name: value for one in found for name, value in one.columns.items()}
    for name in set(COLUMNS) - _UNEXPLAINED:
        value = getattr(row, name)
        assert columns.get(name, value) == value
        assert name in columns or value in ("", (), {}, "0"), name
    assert all(one.why for one in found)


def test_what_is_shown_of_a_hit_is_masked() -> None:
    hit = msgspec.structs.replace(
        PLAIN,
        query="s=shop&u=https%3A%2F%2Fshop.example%2F%3Femail%3Dkim%40shop.example%26token%3Dsecret",
        body='{"title":"for kim@shop.example"}',
        referer="https://shop.example/?password=secret",
        user_agent=CHROME,
        ip="203.0.113.0",
        consent="given",
    )
    found = shown(hit)
    text = repr(found)
    for secret in ("kim@", "kim%40", "secret", "203.0.113", "Chrome"):
        assert secret not in text
    assert (found["site"], found["kind"], found["consent"], found["at"]) == ("shop", "pixel", "given", PLAIN.at)
    assert "purpose" not in found
