"""Every parser against its vectors: one YAML file a parser; an entry says what it shows; unknown keys fail."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
import yaml

from collector.contract import Kind
from enricher import tables
from enricher.rules import bots, campaign, channel, mail, referrer, user_agent
from enricher.rules.campaign import FIELDS
from enricher.rules.event_id import event_id
from enricher.rules.geo import from_headers
from enricher.rules.language import primary
from enricher.rules.referrer import Kind as ReferrerKind
from enricher.rules.sent_fields import NO_EXTRAS, SENT_FIELDS, Reader, Refused, tidy_title
from enricher.rules.url import BadUrl, clean, pairs
from enricher.rules.user_agent import Hints

HERE = Path(__file__).parent / "vectors"
Row = TypeVar("Row", bound="Vector")


class Vector(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    shows: str


class UrlVector(Vector, frozen=True, kw_only=True):
    url: str
    text: str = ""
    host: str = ""
    path: str = ""
    params: list[list[str]] | None = None
    bad: str = ""


class LanguageVector(Vector, frozen=True, kw_only=True):
    header: str
    language: str


class EventIdVector(Vector, frozen=True, kw_only=True):
    hit: str
    site: str
    event: str
    id: str
    event_id: str


class GeoVector(Vector, frozen=True, kw_only=True):
    country: str
    region: str
    city: str
    place: tuple[str, str, str]


class ChannelVector(Vector, frozen=True, kw_only=True):
    source: str
    source_kind: ReferrerKind
    medium: str
    campaign: str
    channel: str


class AgentVector(Vector, frozen=True, kw_only=True):
    agent: str
    brands: str = ""
    mobile: str = ""
    platform: str = ""
    browser: str
    browser_version: str
    os: str
    os_version: str
    device: str


class BotVector(Vector, frozen=True, kw_only=True):
    agent: str
    reason: str


class MailVector(Vector, frozen=True, kw_only=True):
    agent: str
    kind: str
    name: str


class ReferrerVector(Vector, frozen=True, kw_only=True):
    referrer: str
    kind: ReferrerKind
    name: str
    term: str


class CampaignVector(Vector, frozen=True, kw_only=True):
    query: str
    source: str
    medium: str
    campaign: str
    click_id_name: str
    click_id: str
    source_raw: str | None = None
    medium_raw: str | None = None
    campaign_raw: str | None = None
    term: str = ""
    content: str = ""
    id: str = ""
    source_platform: str = ""
    creative_format: str = ""
    marketing_tactic: str = ""


class SentFieldsVector(Vector, frozen=True, kw_only=True):
    kind: Kind | None = None
    query: str | None = None
    body: str | None = None
    refused: str | None = None
    event: str | None = None
    url: str | None = None
    page: str | None = None
    referrer: str | None = None
    title: str | None = None
    client_event_id: str | None = None
    user_id: str | None = None
    value: str | None = None
    currency: str | None = None
    occurred_ms: int | None = None
    props: dict[str, str] | None = None
    own: list[tuple[str, str]] | None = None
    dropped: list[str] | None = None
    message_id: str | None = None
    list_id: str | None = None
    link_code: str | None = None
    click_id: str | None = None
    age_ms: int | None = None
    webdriver: bool | None = None


def vectors(name: str, kind: type[Row]) -> list[Row]:
    return msgspec.convert(yaml.safe_load((HERE / f"{name}.yml").read_bytes()), list[kind])  # type: ignore[valid-type]


def says(vector: Vector) -> str:
    return vector.shows


@pytest.fixture(scope="module")
def referrers() -> referrer.Referrers:
    return tables.load_referrers(tables.load_hosts())


@pytest.fixture(scope="module")
def campaigns(referrers: referrer.Referrers) -> campaign.Campaigns:
    return tables.load_campaigns(referrers)


@pytest.fixture(scope="module")
def agents() -> user_agent.UserAgents:
    return tables.load_user_agents()


@pytest.fixture(scope="module")
def robots() -> bots.Bots:
    return tables.load_bots()


@pytest.fixture(scope="module")
def mails() -> mail.Mail:
    return tables.load_mail()


@pytest.fixture(scope="module")
def channels() -> channel.Channels:
    return tables.load_channels()


@pytest.mark.parametrize("vector", vectors("url", UrlVector), ids=says)
def test_url(vector: UrlVector) -> None:
    if vector.bad:
        with pytest.raises(BadUrl, match=vector.bad):
            clean(vector.url)
        return
    url = clean(vector.url)
    assert (url.text, url.host, url.path) == (vector.text, vector.host, vector.path)
    if vector.params is not None:
        assert [list(pair) for pair in url.params] == vector.params
    assert clean(url.text).text == url.text, "what is stored passes unchanged"


@pytest.mark.parametrize("vector", vectors("language", LanguageVector), ids=says)
def test_language(vector: LanguageVector) -> None:
    assert primary(vector.header) == vector.language


@pytest.mark.parametrize("vector", vectors("event_id", EventIdVector), ids=says)
def test_event_id(vector: EventIdVector) -> None:
    assert event_id(vector.hit, vector.site, vector.event, vector.id) == vector.event_id


@pytest.mark.parametrize("vector", vectors("geo", GeoVector), ids=says)
def test_geo(vector: GeoVector) -> None:
    assert from_headers(vector.country, vector.region, vector.city) == vector.place


@pytest.mark.parametrize("vector", vectors("channel", ChannelVector), ids=says)
def test_channel(vector: ChannelVector, channels: channel.Channels) -> None:
    found = channels.of(vector.source, vector.source_kind, vector.medium, vector.campaign)
    assert found == vector.channel


def test_every_channel_has_a_vector(channels: channel.Channels) -> None:
    assert channels.names <= {vector.channel for vector in vectors("channel", ChannelVector)}


@pytest.mark.parametrize("vector", vectors("user_agent", AgentVector), ids=says)
def test_user_agent(vector: AgentVector, agents: user_agent.UserAgents) -> None:
    found = agents.parse(vector.agent, Hints(vector.brands, vector.mobile, vector.platform))
    for name in ("browser", "browser_version", "os", "os_version", "device"):
        expected = getattr(vector, name)
        assert expected in {"?", getattr(found, name)}, (name, found)


@pytest.mark.parametrize("vector", vectors("bots", BotVector), ids=says)
def test_bot(vector: BotVector, robots: bots.Bots) -> None:
    reason = robots.reason(vector.agent)
    assert reason if vector.reason == "?" else reason == vector.reason


@pytest.mark.parametrize("vector", vectors("mail", MailVector), ids=says)
def test_mail(vector: MailVector, mails: mail.Mail, robots: bots.Bots) -> None:
    assert mails.opened_by(vector.agent, robots.reason(vector.agent)) == (vector.kind, vector.name)


@pytest.mark.parametrize("vector", vectors("referrer", ReferrerVector), ids=says)
def test_referrer(vector: ReferrerVector, referrers: referrer.Referrers) -> None:
    found = referrers.classify(vector.referrer)
    assert (found.kind, found.name, found.term) == (vector.kind, vector.name, vector.term)


@pytest.mark.parametrize("vector", vectors("campaign", CampaignVector), ids=says)
def test_campaign(vector: CampaignVector, campaigns: campaign.Campaigns) -> None:
    found = campaigns.read(pairs(vector.query))
    assert (found.source, found.medium, found.campaign) == (vector.source, vector.medium, vector.campaign)
    assert (found.click_id_name, found.click_id) == (vector.click_id_name, vector.click_id)
    raw = dict(zip(FIELDS, found.utm, strict=True))
    for name in FIELDS[3:]:
        assert raw[name] == getattr(vector, name)
    for name in FIELDS[:3]:
        assert getattr(vector, f"{name}_raw") in {None, raw[name]}


@pytest.mark.parametrize("vector", vectors("sent_fields", SentFieldsVector), ids=says)
def test_sent_fields(vector: SentFieldsVector) -> None:
    kind: Kind = vector.kind or ("tag" if vector.body is not None else "pixel")
    reader = Reader()
    if vector.refused is not None:
        with pytest.raises(Refused) as why:
            reader.read(kind, vector.query or "", vector.body or "", "")
        assert why.value.refusal.reason == vector.refused
        return
    sent = reader.read(kind, vector.query or "", vector.body or "", "")
    words: dict[str, Any] = dict(zip(SENT_FIELDS, sent, strict=True))
    words |= dict(zip(("page", "referrer", "title"), words.pop("view"), strict=True))
    words |= (words.pop("extras") or NO_EXTRAS)._asdict()
    words["title"] = tidy_title(words["title"])
    for name in words:
        expected = getattr(vector, name)
        if name in {"own", "dropped"} and expected is not None:
            expected = tuple(expected)
        assert expected in (None, words[name]), name


def test_an_unknown_key_fails() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"shows": "x", "header": "de", "language": "de", "colour": "red"}, LanguageVector)


def test_the_referrer_tables_know_enough_hosts(referrers: referrer.Referrers) -> None:
    assert referrers.size >= 2_750
