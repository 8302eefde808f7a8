"""Hit in, row or Refusal out: the steps of enrichment, in reading order.

Rule: pure. No clock, no randomness, no I/O; the same hit gives the same bytes under the same rules and tables. What
costs is remembered, in bounded caches, as the columns it fills, already encoded (`row.py`); remembering changes no
answer. Longer than most modules, since the whole way of a hit stands in it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast, final

from msgspec.structs import astuple

from collector.contract import Consent, Hit, Kind, VisitorKind
from enricher.row.encode import Piece, joined, piece, row, seconds, start
from enricher.rules import bots, campaign, channel, mail, referrer, user_agent
from enricher.rules.cache import Cache, Memory, remember_texts
from enricher.rules.campaign import SILENT, Campaign
from enricher.rules.event_id import RULES, event_id, is_hit_id, version
from enricher.rules.geo import NOWHERE, Locations, Place, from_headers
from enricher.rules.language import primary
from enricher.rules.referrer import Kind as ReferrerKind
from enricher.rules.registrable_domain import Hosts
from enricher.rules.sent_fields import NO_REST, Look, Reader, Refusal, Refused, Rest, tidy_title
from enricher.rules.url import BadUrl, clean
from enricher.rules.user_agent import Hints

_LATEST_MS: Final = 9_000_000_000_000
_AGENT_LONGEST: Final = 1024
_MIB: Final = 1 << 20

_Fields = tuple[
    str, int, Kind, str, str, str, str, str, str, str, str, str, str, str, str, str, str, VisitorKind, Consent
]
"""A hit's, in its order; taken all at once, they cost half of what they cost by name."""

ClientKey = tuple[str, str, str, str]
"""User agent and the three client hints."""


@final
class Client:
    """All that a user agent tells."""

    __slots__ = ("agent_size", "columns")

    def __init__(self, columns: Piece, agent_size: int) -> None:
        self.columns: Final = columns
        """`user_agent` to `open_kind`, of what is no mail open."""
        self.agent_size: Final = agent_size
        """Bytes of `user_agent` to `device`."""


@final
class Page:
    """All that a page's URL tells."""

    __slots__ = ("arrival", "click_id", "columns", "problem", "site", "utm")

    def __init__(
        self, columns: Piece, site: str, utm: Piece, arrival: Piece | None, click_id: Piece, problem: str = ""
    ) -> None:
        self.columns: Final = columns
        """`url` to `path`."""
        self.site: Final = site
        self.utm: Final = utm
        """`utm_source` to `utm_marketing_tactic`."""
        self.arrival: Final = arrival
        """`source` to `channel`; None where the URL is silent."""
        self.click_id: Final = click_id
        """`click_id_name`, `click_id`."""
        self.problem: Final = problem
        """Why the URL cannot be meant."""


@final
class View:
    """All that a look tells: which page, under which title, from where."""

    __slots__ = ("columns", "problem", "seen_size")

    def __init__(self, columns: Piece, seen_size: int, problem: str) -> None:
        self.columns: Final = columns
        """`url` to `currency`, where nothing is said but the look."""
        self.seen_size: Final = seen_size
        """Bytes of `url` to `click_id`."""
        self.problem: Final = problem
        """Why the page's URL cannot be meant."""


class Arrival(NamedTuple):
    """What brought the visitor, normalised."""

    source: str
    medium: str
    campaign: str
    channel: str


OWN_CLICK_ID: Final = "_pcl"
"""The parameter that the collector's own links carry."""

NOT_SET: Final = "(not set)"
_DIRECT: Final = piece("(direct)", "(none)", "", "Direct")
_NO_UTM: Final = piece(*SILENT.utm)
_NO_CLICK_ID: Final = piece("", "")
_NO_REST: Final = piece("", "", "", "0", "")
_NO_PAGE: Final = Page(piece("", "", ""), "", _NO_UTM, None, _NO_CLICK_ID)
_NO_PLACE: Final = piece(*NOWHERE)
_PERSON: Final = piece(False, "", "")
_UNSOUND: Final = Refusal("undecodable", "id or time of receipt that no collector writes")
_MEDIUM_OF: Final = {"search": "organic", "email": "email"}
"""Medium of a referrer without UTM, by its kind; any other is a referral, as in GA4."""


class Enricher:
    """The tables of every step, with the memory of what they answered.

    `Judging` takes a chunk's hits through `enrich_familiar`, and who is new through `enrich_all`; tools go by `enrich`.
    """

    def __init__(self, locations: Locations | None = None, *, remember: bool = True) -> None:
        """Read the tables; `locations` answers for the hits whose CDN said no country.

        Without `remember` every answer is worked out anew: slow, and the same.
        """
        self._hosts = Hosts()
        self._agents = user_agent.load()
        self._bots = bots.load()
        self._mail = mail.load()
        self._referrers = referrer.load(self._hosts)
        self._campaigns = campaign.load(self._referrers.name_of)
        self._channels = channel.load()
        self.locations = locations
        self._clients: Cache[ClientKey, Client] = Cache(
            lambda key: self._judge_clients([key])[0],
            entries=50_000,
            max_bytes=48 * _MIB,
            size=lambda key: sum(map(len, key)),
        )
        self._opens = remember_texts(self._open, 4)
        self._views: Cache[Look, View] = Cache(
            self._view,
            entries=100_000,
            max_bytes=24 * _MIB,
            size=lambda look: 3 * sum(map(len, look)),
            recurs=True,
        )
        self._pages = remember_texts(self._page, 16, recurs=True)
        self._senders = remember_texts(self._referrers.judge, 8, recurs=True)
        self._referrals: Cache[tuple[str, ReferrerKind], Piece] = Cache(
            self._referral, entries=10_000, max_bytes=4 * _MIB, size=lambda told: len(told[0])
        )
        self._arrivals: Cache[tuple[str, str, str], Piece] = Cache(
            self._arrival, entries=50_000, max_bytes=4 * _MIB, size=lambda told: sum(map(len, told))
        )
        self._mailings = remember_texts(_mailing, 2)
        self._reader = Reader()
        self._languages = remember_texts(primary, 2)
        self._told_places: Cache[tuple[str, str, str], Piece] = Cache(
            lambda told: _placed(from_headers(*told)), entries=50_000, max_bytes=8 * _MIB, size=lambda told: 100
        )
        self._places = remember_texts(self._place, 8)
        if not remember:
            for cache in self.caches.values():
                cache.remember_nothing()

    def enrich(self, hit: Hit) -> bytes | Refusal:
        """Return the row that `hit` becomes (`contract.decode_row` reads it), or why it cannot become one."""
        return self._row(hit, self._clients[_client_key(hit)])

    def enrich_familiar(self, hit: Hit) -> bytes | Refusal | None:
        """Return the same, but None of a hit whose client has not been met, or is forgotten."""
        client = self._clients.recall(_client_key(hit))
        return None if client is None else self._row(hit, client)

    def enrich_all(self, hits: Sequence[Hit]) -> list[bytes | Refusal]:
        """Return what each of `hits` becomes. New clients are judged together: a third of the price of one by one."""
        clients = self._clients.all_of([_client_key(hit) for hit in hits], self._judge_clients)
        return [self._row(hit, client) for hit, client in zip(hits, clients, strict=True)]

    def _row(self, hit: Hit, client: Client) -> bytes | Refusal:
        (
            hit_id, at, kind, site, query, body, user_agent, referer, accept_language, _, _, _,
            country, region, city, ip, visitor_id, visitor_kind, consent,
        ) = cast(_Fields, astuple(hit))  # fmt: skip
        if not (is_hit_id(hit_id) and 0 <= at < _LATEST_MS):
            return _UNSOUND
        try:
            event, url, look, client_event_id, user_id, props, rest = self._reader.read(kind, query, body, referer)
        except Refused as why:
            return why.refusal
        view = self._views[look]
        if view.problem and url:
            return Refusal("bad_url", view.problem)

        page = view.columns
        if rest is not None or kind == "open":
            page = self._page_and_rest(look, view, rest or NO_REST, mailed=kind == "open")
        agent = client.columns
        if kind == "open":
            agent = joined(start(agent, client.agent_size), self._opens[user_agent])
        elif kind == "server" and not user_agent:  # it need not say whose browser it speaks for
            agent = joined(start(agent, client.agent_size), _PERSON)
        received_at = occurred_at = seconds(at)
        if rest is not None and rest.occurred_ms:
            occurred_at = seconds(rest.occurred_ms)
        return row(
            (
                event_id(hit_id, site, event, client_event_id),
                site,
                event,
                kind,
                received_at,
                occurred_at,
                version(kind, at),
                visitor_id,
                visitor_kind,
                user_id,
                client_event_id,
                page,
                agent,
                self._languages[accept_language],
                self._place_of(country, region, city, ip),
                ip,
                consent,
                props,
                RULES,
            )
        )

    def _page_and_rest(self, look: Look, view: View, rest: Rest, *, mailed: bool) -> Piece:
        """Return `url` to `currency`, where more is said than the look."""
        if rest.own or rest.click_id or mailed:
            seen = self._seen(self._pages[look[0]], look, rest, mailed=mailed)
        else:
            seen = start(view.columns, view.seen_size)
        return joined(seen, piece(rest.link_code, rest.message_id, rest.list_id, rest.value or "0", rest.currency))

    def _place_of(self, country: str, region: str, city: str, ip: str) -> Piece:
        """Return `country` to `city`: what the CDN said, else what the operator's file knows."""
        if country:
            told = self._told_places[country, region, city]
            if told is not _NO_PLACE:
                return told
        return self._places[ip] if self.locations is not None and ip else _NO_PLACE

    @property
    def caches(self) -> dict[str, Memory[Any, Any]]:
        """What is remembered, by name."""
        return {
            "user_agents": self._clients,
            "brands": self._agents.brands,
            "platforms": self._agents.platforms,
            "mail_openers": self._opens,
            "views": self._views,
            "pages": self._pages,
            "referrers": self._senders,
            "referrals": self._referrals,
            "sites": self._hosts.sites,
            "campaigns": self._arrivals,
            "mailings": self._mailings,
            "parameters": self._reader.parameters,
            "queries": self._reader.queries,
            "bodies": self._reader.bodies,
            "events": self._reader.events,
            "languages": self._languages,
            "told_places": self._told_places,
            "places": self._places,
        }

    def forget_places(self) -> None:
        """Look every address up anew: the file behind `locations` has changed."""
        self._places.forget()

    def _judge_clients(self, keys: Sequence[ClientKey]) -> list[Client]:
        agents = self._agents.parse_all([(key[0], tuple.__new__(Hints, key[1:])) for key in keys])
        reasons = [self._bots.reason(key[0]) for key in keys]
        return [
            _client(piece(_stored(key[0]), *agent), piece(True, reason, "") if reason else _PERSON)
            for key, agent, reason in zip(keys, agents, reasons, strict=True)
        ]

    def _open(self, agent: str) -> Piece:
        open_kind, rule = self._mail.opened_by(agent, self._bots.reason(agent))
        return piece(open_kind == "scanner" and rule != "", rule if open_kind == "scanner" else "", open_kind)

    def _view(self, look: Look) -> View:
        page = self._pages[look[0]]
        seen = self._seen(page, look, NO_REST, mailed=False)
        return View(joined(seen, _NO_REST), len(bytes(seen)), page.problem)

    def _seen(self, page: Page, look: Look, rest: Rest, *, mailed: bool) -> Piece:
        """Return `url` to `click_id`: of a look, and of the campaign and the click id that were named beside it."""
        address, referrer, title = look
        ref = self._senders[referrer]
        inside = page.site != "" and ref.site == page.site
        told = ("", "internal", "") if inside else (ref.name, ref.kind, ref.term)
        utm, arrival, click_id = page.utm, page.arrival, page.click_id
        if rest.own and self._campaigns.named_in(rest.own):
            on_page = () if page.columns is _NO_PAGE.columns else clean(address).params
            utm, arrival, click_id = self._brought(self._campaigns.read(on_page + rest.own))
        if mailed and arrival is None:
            arrival = self._mailings[rest.list_id or rest.message_id]
        if arrival is None:
            by_sender = ref.name.lower() or ref.host.removeprefix("www.")
            arrival = self._referrals[by_sender, ref.kind] if ref.host and not inside else _DIRECT
        if rest.click_id and click_id is _NO_CLICK_ID:
            click_id = piece(OWN_CLICK_ID, rest.click_id)
        return joined(page.columns, piece(tidy_title(title), ref.url, ref.host, *told), utm, arrival, click_id)

    def _page(self, text: str) -> Page:
        if not text:
            return _NO_PAGE
        try:
            url = clean(text)
        except BadUrl as error:
            return Page(_NO_PAGE.columns, "", _NO_UTM, None, _NO_CLICK_ID, str(error))
        utm, arrival, click_id = self._brought(self._campaigns.read(url.params))
        return Page(piece(url.text, url.host, url.path), self._hosts.site_of(url.host), utm, arrival, click_id)

    def _referral(self, told: tuple[str, ReferrerKind]) -> Piece:
        source, kind = told
        medium = _MEDIUM_OF.get(kind, "referral")
        return piece(*Arrival(source, medium, "", self._channels.of(source, kind, medium, "")))

    def _brought(self, found: Campaign) -> tuple[Piece, Piece | None, Piece]:
        """Return a campaign's columns: UTM as sent, what brought the visitor (None where it is silent), click id.

        A field that is silent where another speaks is "(not set)", as in GA4.
        """
        if found is SILENT:
            return _NO_UTM, None, _NO_CLICK_ID
        click_id = piece(found.click_id_name, found.click_id) if found.click_id else _NO_CLICK_ID
        arrival = None
        if found.source or found.medium or found.campaign:
            arrival = self._arrivals[found.source or NOT_SET, found.medium or NOT_SET, found.campaign]
        return piece(*found.utm), arrival, click_id

    def _arrival(self, told: tuple[str, str, str]) -> Piece:
        source, medium, name = told
        kind = self._referrers.kind_of(source)
        return piece(*Arrival(source, medium, name, self._channels.of(source, kind, medium, name)))

    def _place(self, ip: str) -> Piece:
        return _placed(self.locations.find(ip)) if self.locations else _NO_PLACE


def _client(agent: Piece, verdict: Piece) -> Client:
    return Client(joined(agent, verdict), len(bytes(agent)))


def _placed(place: Place) -> Piece:
    return _NO_PLACE if place is NOWHERE else piece(*place)


def _mailing(name: str) -> Piece:
    """A mail that is opened brings its reader by mail: campaign is its list, else its own id."""
    return piece(*Arrival("email", "email", " ".join(name.lower().split()), "Email"))


def _stored(agent: str) -> str:
    """Return a user agent as it is stored: bounded, on one line."""
    text = agent[:_AGENT_LONGEST].strip()
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def _client_key(hit: Hit) -> ClientKey:
    return hit.user_agent, hit.sec_ch_ua, hit.sec_ch_ua_mobile, hit.sec_ch_ua_platform


def load(geo_mmdb: str) -> Enricher:
    """Read every table, and the MMDB file where one is named; about half a second.

    Raises:
        OSError: a file cannot be read.
        maxminddb.InvalidDatabaseError: `geo_mmdb` is no MMDB file.
    """
    return Enricher(Locations(Path(geo_mmdb)) if geo_mmdb else None)
