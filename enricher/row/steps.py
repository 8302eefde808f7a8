"""Why a hit became the row that it is: each step of enrichment with its columns and a sentence.

For people only; the way of a hit is `enrich.py`. The columns are those of the row itself, so that they cannot differ.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from collector.contract import Hit
from collector.contract.click_ids import OWN
from collector.contract.fields import DEFAULT_EVENT
from collector.contract.hit import is_prefetch
from enricher.contract import Event, decode_row
from enricher.row.enrich import NOT_SET, Enricher
from enricher.rules.channel import Alternative
from enricher.rules.redaction import mask_email, mask_parameters
from enricher.rules.sent_fields import NO_EXTRAS, Reader, Refusal, SentFields
from enricher.rules.url import BadUrl, Pairs, clean


class Step(NamedTuple):
    """One step; `columns` are those that it fills, by name, without the empty ones."""

    name: str
    columns: dict[str, Any]
    why: str


_COLUMNS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("sent", ("event", "kind", "title", "value", "currency", "user_id", "client_event_id", "props", "dropped")),
    ("page", ("url", "host", "path")),
    ("referrer", ("referrer", "referrer_host", "referrer_name", "referrer_kind", "search_term")),
    (
        "campaign",
        (
            "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "utm_id", "utm_source_platform",
            "utm_creative_format", "utm_marketing_tactic", "click_id_name", "click_id", "source", "medium", "campaign",
            "link_code", "message_id", "list_id",
        ),
    ),
    ("channel", ("channel",)),
    ("client", ("browser", "browser_version", "os", "os_version", "device")),
    ("bot", ("is_bot", "bot_reason", "open_kind")),
    ("place", ("country", "region", "city", "language")),
    ("person", ("visitor_id", "visitor_kind", "consent")),
    ("identity", ("event_id", "occurred_at", "received_at", "enriched_by")),
)  # fmt: skip
_HIDDEN: Final = ("ip", "user_agent")
"""Of a hit: what analysts may not read either (sink/users.sql)."""
_ADDRESSES: Final = ("query", "body", "referer")


class Explainer:
    """Explains rows of one Enricher."""

    def __init__(self, enricher: Enricher) -> None:
        self._enricher: Final = enricher
        self._reader: Final = Reader()

    def explain(self, hit: Hit) -> list[Step] | Refusal:
        """Return the steps by which `hit` became its row, or why it became none."""
        made = self._enricher.enrich(hit)
        if isinstance(made, Refusal):
            return made
        row = decode_row(made)
        sent = self._reader.read(hit.kind, hit.query, hit.body, "" if "url" in hit.dropped else hit.referer)
        why = {
            "sent": _sent(hit, row, sent),
            "page": _page(hit, row, sent),
            "referrer": self._referrer(row, sent),
            "campaign": self._campaign(row, sent),
            "channel": self._channel(row),
            "client": _client(hit),
            "bot": _bot(hit, row),
            "place": _place(hit, row),
            "person": _person(row),
            "identity": _identity(row),
        }
        return [Step(name, dict(_filled(row, columns)), why[name]) for name, columns in _COLUMNS]

    def _referrer(self, row: Event, sent: SentFields) -> str:
        referrer = sent[2][1]
        if not referrer:
            return "The hit names no referrer."
        if row.referrer_kind == "internal":
            own = self._enricher.own_hosts.get(row.site)
            if own is not None and own.contains(row.referrer_host):
                return "The host is in the site's `hosts` or `ignored_referrers` (sites.toml): a page within the site."
            return "The host has the page's registrable domain: a page within the site."
        if "referrer" in row.dropped:
            return "It is not a usable address, and is not stored."
        if row.referrer_name:
            return f"The tables know the host as {row.referrer_name}, kind {row.referrer_kind}."
        return "No table knows the host: kind other."

    def _campaign(self, row: Event, sent: SentFields) -> str:
        known = self._enricher.campaigns.known((*_params(row, sent), *(sent[6] or NO_EXTRAS).own))
        listed = "; ".join(f"{name}={value}" for name, value in known)
        unset = f" What is not named is {NOT_SET}." if NOT_SET in (row.source, row.medium) else ""
        if row.click_id_name == OWN and not listed:
            listed = "the id of the click on our link"
        if known and row.source != "(direct)":
            return f"Named by {listed}.{unset}"
        if row.kind == "open":
            return "A mail's pixel: source and medium are email; the campaign is the list, else the message."
        if row.referrer_kind == "internal":
            return "A page within the site brings no source of its own: the session keeps the one that it began with."
        if row.referrer_host:
            return "No campaign is named: the referrer is the source."
        return "No campaign and no referrer: direct."

    def _channel(self, row: Event) -> str:
        if row.source == "(direct)":
            return "Source and medium are those of a direct visit."
        kind = self._enricher.referrers.kind_of(row.source)
        found = self._enricher.channels.rule_of(row.source, kind, row.medium, row.campaign)
        if found is None or found[0].channel != row.channel:
            kind = row.referrer_kind
            found = self._enricher.channels.rule_of(row.source, kind, row.medium, row.campaign)
        if found is None or found[0].channel != row.channel:
            return "A mail's pixel is always Email." if row.kind == "open" else "No rule of channels.toml holds."
        return f"The first rule of channels.toml that holds: {_conditions(found[1], kind)}."


def shown(hit: Hit) -> dict[str, Any]:
    """Return the fields of a hit that were sent, personal data masked, without address and user agent."""
    found = {name: getattr(hit, name) for name in Hit.__struct_fields__}
    for name in _ADDRESSES:
        found[name] = mask_email(mask_parameters(found[name]))
    return {name: value for name, value in found.items() if value not in ("", ()) and name not in _HIDDEN}


def _filled(row: Event, columns: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name in columns:
        value = getattr(row, name)
        if value not in ("", (), {}) and (name, value) != ("value", "0"):
            yield name, value


def _params(row: Event, sent: SentFields) -> Pairs:
    try:
        return clean(sent[2][0]).params if row.url else ()
    except BadUrl:
        return ()


def _sent(hit: Hit, row: Event, sent: SentFields) -> str:
    told = []
    if row.event == DEFAULT_EVENT[hit.kind] and f"e={row.event}" not in hit.query and f'"{row.event}"' not in hit.body:
        told.append(f"The hit names no event: a hit of kind {hit.kind} is {row.event}.")
    if row.dropped:
        told.append(f"Sent but not usable, so left empty: {', '.join(row.dropped)}.")
    return " ".join(told) or "As the sender wrote it."


def _page(hit: Hit, row: Event, sent: SentFields) -> str:
    address = sent[2][0]
    if not address:
        return "The hit names no page."
    if "url" in row.dropped or not row.url:
        return "It is not a usable address, and is not stored."
    told = ["As sent." if sent[1] else "The hit names no page: the Referer header is the page."]
    if "***" in row.url:
        told.append("Personal data is masked as ***.")
    return " ".join(told)


def _client(hit: Hit) -> str:
    if not hit.user_agent:
        return "No user agent was sent."
    hints = hit.sec_ch_ua or hit.sec_ch_ua_platform
    return "From client hints, then the user agent." if hints else "From the user agent; no client hints were sent."


def _bot(hit: Hit, row: Event) -> str:
    if row.kind == "open":
        return f"Mail signatures and bot patterns say: opened by {row.open_kind or 'an unknown reader'}."
    if not row.is_bot:
        return "No pattern of a program matches: a person."
    if row.bot_reason == "prefetch" and is_prefetch(hit.purpose):
        return f"The browser fetched the page ahead ({hit.purpose}): no person has asked for it yet."
    if row.bot_reason == "webdriver":
        return "navigator.webdriver is set: a program drives the browser."
    return f"A pattern of programs matches the user agent: {row.bot_reason}. Flagged, not dropped."


def _place(hit: Hit, row: Event) -> str:
    if not row.country:
        return "Neither the CDN nor an MMDB file names a country."
    return "From the CDN's headers." if hit.geo_country else "From the operator's MMDB file."


def _person(row: Event) -> str:
    if row.visitor_id:
        return f"A {row.visitor_kind} id, since consent is {row.consent}."
    return f"No id: the site's policy allows none while consent is {row.consent}."


def _identity(row: Event) -> str:
    if row.client_event_id:
        return "Made of site, event and the sender's own id: every copy of this event has it."
    return "The hit's own id: the sender gave none."


def _conditions(one: Alternative, kind: str) -> str:
    told = []
    if one.source is not None:
        told.append("the source is in the rule's list")
    if one.source_kind is not None:
        told.append(f"the source is of kind {kind}")
    if one.medium is not None:
        told.append("the medium is one of the rule's")
    if one.campaign is not None:
        told.append("the campaign's name is one of the rule's")
    return " and ".join(told) or "it has no condition"
