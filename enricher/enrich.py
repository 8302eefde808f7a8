"""Hit in, Event or Refusal out: the steps of enrichment, in reading order.

Rule: pure. No clock, no randomness, no I/O; the same hit gives the same bytes under the same rules and tables. What
costs is remembered, in bounded caches, and remembering changes no answer. Longer than most modules, since an event's 58
columns stand in it one a line.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from collector.contract import Hit
from enricher import bots, campaign, channel, mail, referrer, user_agent
from enricher.cache import Cache, remember_texts
from enricher.campaign import SILENT, Campaign
from enricher.contract import Event
from enricher.event_id import RULES, event_id, version
from enricher.geo import NOWHERE, Locations, Place, from_headers
from enricher.hosts import Hosts
from enricher.language import primary
from enricher.mail import OpenKind
from enricher.referrer import NOBODY, Referrer
from enricher.said import Reader, Refusal, Said
from enricher.url import BadUrl, clean
from enricher.user_agent import Agent, Hints

_ID: Final = re.compile(r"[0-9a-f]{32}")
_LATEST_MS: Final = 9_000_000_000_000
_AGENT_LONGEST: Final = 1024
_MIB: Final = 1 << 20

ClientKey = tuple[str, str, str, str]
"""User agent and the three client hints."""


class Client(NamedTuple):
    """All that a user agent tells."""

    user_agent: str
    agent: Agent
    bot_reason: str


class Arrival(NamedTuple):
    """What brought the visitor, normalised."""

    source: str
    medium: str
    campaign: str
    channel: str


class Page(NamedTuple):
    """All that a page's URL tells."""

    url: str
    host: str
    path: str
    site: str
    campaign: Campaign
    arrival: Arrival | None
    """None where the URL is silent."""
    problem: str = ""
    """Why the URL cannot be meant."""


class Sent(NamedTuple):
    """All that a referrer tells."""

    referrer: Referrer
    arrival: Arrival


OWN_CLICK_ID: Final = "_pcl"
"""The parameter that the collector's own links carry."""

NOT_SET: Final = "(not set)"
DIRECT: Final = Arrival("(direct)", "(none)", "", "Direct")
_NO_PAGE: Final = Page("", "", "", "", SILENT, None)
_MEDIUM_OF: Final = {"search": "organic", "email": "email"}
"""Medium of a referrer without UTM, by its kind; any other is a referral, as in GA4."""


class Enricher:
    """The tables of every step, with the memory of what they answered."""

    def __init__(self, locations: Locations | None = None) -> None:
        """Read the tables; `locations` answers for the hits whose CDN said no country."""
        self._hosts = Hosts()
        self._agents = user_agent.load()
        self._bots = bots.load()
        self._mail = mail.load()
        self._referrers = referrer.load(self._hosts)
        self._campaigns = campaign.load(self._referrers.name_of)
        self._channels = channel.load()
        self.locations = locations
        self._clients: Cache[ClientKey, Client] = Cache(
            lambda key: self._clients_of([key])[0],
            entries=50_000,
            max_bytes=48 * _MIB,
            size=lambda key: sum(map(len, key)),
        )
        self._opens = remember_texts(self._open, 8)
        self._pages = remember_texts(self._page, 32)
        self._senders = remember_texts(self._sender, 16)
        self._reader = Reader()
        self._languages = remember_texts(primary, 2)
        self._places: Cache[str, Place] = remember_texts(self._place, 8)

    def enrich(self, hit: Hit) -> Event | Refusal:
        """Return the Event that `hit` becomes, or why it cannot become one."""
        received, kind = hit.at, hit.kind
        if not (_ID.fullmatch(hit.id) and 0 <= received < _LATEST_MS):
            return Refusal("undecodable", "id or time of receipt that no collector writes")

        said = self._reader.read(hit)
        if isinstance(said, Refusal):
            return said

        # Tuples are unpacked rather than asked field by field: this is the hot path.
        text = said.url or _default_url(hit)
        page = self._pages[text]
        if page.problem:
            if said.url:
                return Refusal("bad_url", page.problem)
            page = _NO_PAGE
        url, host, path, site, found, arrival, _ = page

        sent, sent_arrival = self._senders[said.referrer or (hit.referer if kind == "click" else "")]
        ref_url, ref_host, ref_site, ref_name, ref_kind, term = sent
        if ref_site and ref_site == site:
            ref_name, ref_kind, term, sent_arrival = "", "internal", "", DIRECT

        if said.own and self._campaigns.named_in(said.own):
            found = self._campaigns.read((clean(text).params if url else ()) + said.own)
            arrival = self._arrival(found)
        if arrival is None:
            arrival = _of_open(said) if kind == "open" else sent_arrival
        source, medium, campaign_name, channel_name = arrival
        utm, click_id_name, click_id, _, _, _ = found
        if said.click_id and not click_id:
            click_id_name, click_id = OWN_CLICK_ID, said.click_id

        client = self._clients[hit.user_agent, hit.sec_ch_ua, hit.sec_ch_ua_mobile, hit.sec_ch_ua_platform]
        agent_text, (browser, browser_version, os, os_version, device), bot_reason = client
        open_kind: OpenKind | Literal[""] = ""
        if kind == "open":
            open_kind, open_rule = self._opens[hit.user_agent]
            bot_reason = open_rule if open_kind == "scanner" else ""
        elif kind == "server" and not hit.user_agent:
            bot_reason = ""  # a server need not say whose browser it speaks for

        place = NOWHERE
        if hit.geo_country:
            place = from_headers(hit.geo_country, hit.geo_region, hit.geo_city)
        if place is NOWHERE and hit.ip and self.locations is not None:
            place = self._places[hit.ip]
        country, region, city = place

        source_raw, medium_raw, campaign_raw, utm_term, content, utm_id, platform, creative, tactic = utm
        received_at = _seconds(received)
        # By position, in the order of the columns.
        return Event(
            event_id(hit.id, hit.site, said.event, said.client_event_id),
            hit.site,
            said.event,
            kind,
            received_at,
            _seconds(said.occurred_ms) if said.occurred_ms else received_at,
            version(kind, received, RULES),
            hit.visitor_id,
            hit.visitor_kind,
            said.user_id,
            said.client_event_id,
            url,
            host,
            path,
            said.title,
            ref_url,
            ref_host,
            ref_name,
            ref_kind,
            term,
            source_raw,
            medium_raw,
            campaign_raw,
            utm_term,
            content,
            utm_id,
            platform,
            creative,
            tactic,
            source,
            medium,
            campaign_name,
            channel_name,
            click_id_name,
            click_id,
            said.link_code,
            said.message_id,
            said.list_id,
            said.value or "0",
            said.currency,
            agent_text,
            browser,
            browser_version,
            os,
            os_version,
            device,
            bot_reason != "",
            bot_reason,
            open_kind,
            self._languages[hit.accept_language],
            country,
            region,
            city,
            hit.ip,
            hit.consent,
            said.props,
            RULES,
        )

    @property
    def caches(self) -> dict[str, Cache[Any, Any]]:
        """What is remembered, by name."""
        return {
            "user_agents": self._clients,
            "mail_openers": self._opens,
            "pages": self._pages,
            "referrers": self._senders,
            "encoded_urls": self._reader.urls,
            "titles": self._reader.titles,
            "encoded_titles": self._reader.encoded_titles,
            "languages": self._languages,
            "places": self._places,
        }

    def forget_places(self) -> None:
        """Look every address up anew: the file behind `locations` has changed."""
        self._places.forget()

    def meet(self, hits: Iterable[Hit]) -> None:
        """Look at the user agents of `hits` that are new, all at once: a third of what they cost one by one.

        It changes no answer of `enrich`.
        """
        new = self._clients.lacking(
            (hit.user_agent, hit.sec_ch_ua, hit.sec_ch_ua_mobile, hit.sec_ch_ua_platform) for hit in hits
        )
        if new:
            for key, client in zip(new, self._clients_of(new), strict=True):
                self._clients.learn(key, client)

    def _clients_of(self, keys: Sequence[ClientKey]) -> list[Client]:
        agents = self._agents.parse_all([(key[0], Hints(*key[1:])) for key in keys])
        reasons = [self._bots.reason(key[0]) for key in keys]
        return [
            Client(_stored(key[0]), agent, reason) for key, agent, reason in zip(keys, agents, reasons, strict=True)
        ]

    def _open(self, agent: str) -> tuple[OpenKind, str]:
        return self._mail.opened_by(agent, self._bots.reason(agent))

    def _page(self, text: str) -> Page:
        if not text:
            return _NO_PAGE
        try:
            url = clean(text)
        except BadUrl as error:
            return _NO_PAGE._replace(problem=str(error))
        found = self._campaigns.read(url.params)
        return Page(url.text, url.host, url.path, self._hosts.site_of(url.host), found, self._arrival(found))

    def _sender(self, text: str) -> Sent:
        ref = self._referrers.judge(text)
        if ref is NOBODY or not ref.host:
            return Sent(ref, DIRECT)
        source = ref.name.lower() or ref.host.removeprefix("www.")
        medium = _MEDIUM_OF.get(ref.kind, "referral")
        return Sent(ref, Arrival(source, medium, "", self._channels.of(source, ref.kind, medium, "")))

    def _arrival(self, found: Campaign) -> Arrival | None:
        """Return what the campaign says brought the visitor; None where it is silent.

        A field that is silent where another speaks is "(not set)", as in GA4.
        """
        if found is SILENT:
            return None
        source, medium = found.source or NOT_SET, found.medium or NOT_SET
        if not (found.source or found.medium or found.campaign):
            return None
        kind = self._referrers.kind_of(source)
        return Arrival(source, medium, found.campaign, self._channels.of(source, kind, medium, found.campaign))

    def _place(self, ip: str) -> Place:
        return self.locations.find(ip) if self.locations else NOWHERE


def _stored(agent: str) -> str:
    """Return a user agent as it is stored: bounded, on one line."""
    text = agent[:_AGENT_LONGEST].strip()
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def _default_url(hit: Hit) -> str:
    """A pixel or a tag without a URL stands on the page that the Referer names; a server's event stands on none."""
    return hit.referer if hit.kind in {"pixel", "tag", "open"} else ""


def _of_open(said: Said) -> Arrival:
    """A mail that is opened brings its reader by mail: campaign is its list, else its own id."""
    name = said.list_id or said.message_id
    return Arrival("email", "email", " ".join(name.lower().split()), "Email")


def _seconds(ms: int) -> str:
    digits = str(ms) if ms > 999 else f"{ms:04d}"
    return digits[:-3] + "." + digits[-3:]


def load(geo_mmdb: str) -> Enricher:
    """Read every table, and the MMDB file where one is named; about half a second.

    Raises:
        OSError: a file cannot be read.
        maxminddb.InvalidDatabaseError: `geo_mmdb` is no MMDB file.
    """
    return Enricher(Locations(Path(geo_mmdb)) if geo_mmdb else None)
