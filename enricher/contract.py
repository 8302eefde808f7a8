"""What the enricher writes: Event to `hits.enriched`, DeadHit to `hits.dead`.

An Event is a row. Its fields are the columns of `pharos.event_log`, in the same order, and its record is the row
in a format that ClickHouse ingests, so that the sink joins records and never parses one. New columns go to the end
and carry a default: rows of an older or newer enricher then still fit.
"""

from typing import Final, Literal

import msgspec

ROW_FORMAT: Final = "JSONCompactEachRow"
"""ClickHouse's name of the record's format; docs/benchmarks.md says why this one."""


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One enriched event: one row. Texts are UTF-8; empty means "not known".

    The enricher encodes rows without building one (`row.py`); tools and tests read them as this.
    """

    event_id: str
    """UUID with dashes: the hit's id, or a function of (site, event, client_event_id) where the sender gave an id.
    Its version says whether it begins with a time (7) or not (5): `enricher/rules/event_id.py`.
    Example: "019aa0b1-c2d3-7e4f-8a9b-acbdcedfe0f1"."""
    site: str
    """Site key. Example: "shop"."""
    event: str
    """Event name, 1-64 of [A-Za-z0-9_.:-]. Example: "purchase"."""
    kind: Literal["pixel", "open", "tag", "click", "server"]
    """The route. Example: "tag"."""
    received_at: str
    """When the collector had it: seconds since the epoch, UTC, with three decimals. Example: "1795334400.123"."""
    occurred_at: str
    """When it happened, in the same form. Example: "1795334399.876"."""
    version: int
    """Which row of one event_id wins: the greatest. See `enricher/rules/event_id.py`. Example: 1152921504606846977."""
    visitor_id: str = ""
    """Example: "9f86d081884c7d659a2feaa0c55ad015"."""
    visitor_kind: Literal["cookie", "cookieless", "none"] = "none"
    """Example: "cookie"."""
    user_id: str = ""
    """`uid` as sent. Example: "u-1017"."""
    client_event_id: str = ""
    """`id` as sent. Example: "order-4711"."""
    url: str = ""
    """The page, personal data masked. Example: "https://shop.example/p/1?utm_source=youtube"."""
    host: str = ""
    """Lower-case host of `url`. Example: "shop.example"."""
    path: str = ""
    """Path of `url`. Example: "/p/1"."""
    title: str = ""
    """PageColumns title. Example: "Blue mug"."""
    referrer: str = ""
    """Example: "https://www.youtube.com/watch?v=1"."""
    referrer_host: str = ""
    """Example: "www.youtube.com"."""
    referrer_name: str = ""
    """Example: "YouTube"."""
    referrer_kind: Literal["internal", "search", "social", "video", "email", "ai", "shopping", "other", "none"] = "none"
    """Example: "video"."""
    search_term: str = ""
    """What was searched for, where the referrer says so. Example: "blue mug"."""
    utm_source: str = ""
    """As received, decoded; so are all utm_ fields. Example: "YouTube"."""
    utm_medium: str = ""
    """Example: "video"."""
    utm_campaign: str = ""
    """Example: "launch"."""
    utm_term: str = ""
    """Example: "mugs"."""
    utm_content: str = ""
    """Example: "description-link"."""
    utm_id: str = ""
    """Example: "c-42"."""
    utm_source_platform: str = ""
    """Example: "Search Ads 360"."""
    utm_creative_format: str = ""
    """Example: "native"."""
    utm_marketing_tactic: str = ""
    """Example: "remarketing"."""
    source: str = "(direct)"
    """Normalised source. Example: "youtube"."""
    medium: str = "(none)"
    """Normalised medium. Example: "video"."""
    campaign: str = ""
    """Normalised campaign. Example: "launch"."""
    channel: str = "Direct"
    """One of GA4's default channel groups, or "AI Assistants". Example: "Organic Video"."""
    click_id_name: str = ""
    """Example: "gclid"."""
    click_id: str = ""
    """Example: "EAIaIQobChMI"."""
    link_code: str = ""
    """Kind `click`: the named link's code. Example: "yt-launch"."""
    message_id: str = ""
    """Kind `open`: the mail's id, `m`. Example: "2026-11-newsletter"."""
    list_id: str = ""
    """Kind `open`: list or campaign of the mail, `l`. Example: "customers"."""
    value: str = "0"
    """Money as decimal text with at most 4 decimals. Example: "19.90"."""
    currency: str = ""
    """ISO 4217 code. Example: "EUR"."""
    user_agent: str = ""
    """As received. Example: "Mozilla/5.0 (X11; Linux x86_64) ..."."""
    browser: str = ""
    """Example: "Firefox"."""
    browser_version: str = ""
    """Example: "145.0"."""
    os: str = ""
    """Example: "Linux"."""
    os_version: str = ""
    """Example: "15.1"."""
    device: Literal["desktop", "smartphone", "tablet", "tv", "console", "wearable", "car", "other", ""] = ""
    """Example: "desktop"."""
    is_bot: bool = False
    """Flagged, never dropped. Example: true."""
    bot_reason: str = ""
    """Name of the bot, or of the rule that flagged it. Example: "Googlebot"."""
    open_kind: Literal["human", "proxy", "prefetch", "scanner", ""] = ""
    """Of mail opens. Example: "prefetch"."""
    language: str = ""
    """Primary language. Example: "de"."""
    country: str = ""
    """ISO 3166-1 alpha-2. Example: "AT"."""
    region: str = ""
    """Example: "9"."""
    city: str = ""
    """Example: "Wien"."""
    ip: str = ""
    """As the site's policy left it. Example: "203.0.113.0"."""
    consent: Literal["given", "refused", "unknown", "assumed"] = "unknown"
    """Example: "given"."""
    props: dict[str, str] = {}
    """Custom properties. Example: {"plan": "pro"}."""
    enriched_by: int = 0
    """Version of the rules that made this row. Example: 1."""
    dropped: tuple[str, ...] = ()
    """Fields that were sent and are not usable, so that their columns are empty: names as in a JSON body, each once.
    Example: ["url", "value"]."""


COLUMNS: Final[tuple[str, ...]] = Event.__struct_fields__
"""Column names of `pharos.event_log`, in the order of a row."""

DeadReason = Literal[
    "undecodable",
    "unknown_version",
    "refused_by_clickhouse",
    "lost_records",
]
"""Why a record could not become a stored event: a closed list, also the metric's label. No sender can cause one: a
field that is not usable is left empty and named in `Event.dropped`."""


class DeadHit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    """A record that could not go on, whole. The first field, `v`, is the version of this contract."""

    reason: DeadReason
    """Example: "undecodable"."""
    detail: str = ""
    """What exactly was wrong, for people. Example: "not JSON"."""
    stage: Literal["enricher", "sink"]
    """Who refused it. Example: "enricher"."""
    topic: str
    """Where the record came from. Example: "hits.raw"."""
    partition: int
    """Example: 3."""
    offset: int
    """Example: 170141."""
    at: int
    """The refused record's Kafka timestamp, milliseconds since the epoch. Example: 1795334400123."""
    record: bytes
    """The original bytes (base64 in JSON); empty for lost_records. Example: b'{"v":1}'."""
    records: int = 1
    """How many records the letter is about; only lost_records, from `offset` on, has more than 1. Example: 1."""


_row_encoder = msgspec.json.Encoder()
_row_decoder = msgspec.json.Decoder(Event)
_dead_encoder = msgspec.json.Encoder()
_dead_decoder = msgspec.json.Decoder(DeadHit)


def encode_row(event: Event) -> bytes:
    """Return the record's bytes: one line in ROW_FORMAT, with its line feed."""
    return _row_encoder.encode(event) + b"\n"


def decode_row(record: bytes) -> Event:
    """Read a record back (tools and tests only; the sink never does).

    Raises:
        msgspec.DecodeError: not a row, or (as ValidationError) a column of the wrong type.
    """
    return _row_decoder.decode(record)


def encode_dead(dead: DeadHit) -> bytes:
    """Return the record's bytes: a JSON object."""
    return _dead_encoder.encode(dead)


def decode_dead(record: bytes) -> DeadHit:
    """Read a record.

    Raises:
        msgspec.DecodeError: not JSON, or (as ValidationError) a field is missing or of the wrong type.
    """
    return _dead_decoder.decode(record)
