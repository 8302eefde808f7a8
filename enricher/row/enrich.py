"""The way of a hit to its row, or to the Refusal that says why there is none: the steps of enrichment in order.

The same hit gives the same bytes under the same rules and tables. Results that cost much are kept in bounded caches, as
the columns that they fill, already encoded (`encode.py`); a cache changes no result. Longer than most modules, because
it has the whole way of a hit.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast, final

from msgspec.structs import astuple

from collector.contract import Consent, Hit, Kind, VisitorKind
from collector.contract.click_ids import OWN
from collector.contract.hit import is_prefetch
from enricher.row.encode import Piece, joined, piece, row, seconds, start
from enricher.rules.bots import Bots
from enricher.rules.cache import Cache, Memory, remember_texts
from enricher.rules.campaign import NO_CAMPAIGN, Campaign, Campaigns
from enricher.rules.channel import Channels
from enricher.rules.event_id import RULES, event_id, is_hit_id, version
from enricher.rules.geo import NOWHERE, Locations, Place, from_headers
from enricher.rules.language import primary
from enricher.rules.mail import Mail
from enricher.rules.own_hosts import OwnHosts
from enricher.rules.referrer import Kind as ReferrerKind
from enricher.rules.referrer import Referrer, Referrers
from enricher.rules.registrable_domain import Hosts
from enricher.rules.sent_fields import NO_EXTRAS, Extras, PageView, Reader, Refusal, Refused, tidy_title
from enricher.rules.url import BadUrl, clean
from enricher.rules.user_agent import Hints, UserAgents

_NO_OWN_HOSTS: Final[dict[str, OwnHosts]] = {}
_LATEST_MS: Final = 9_000_000_000_000
_AGENT_LONGEST: Final = 1024
_MIB: Final = 1 << 20

_Fields = tuple[
    str,
    int,
    Kind,
    str,
    str,
    str,
    str,
    str,
    str,
    str,
    str,
    str,
    str,
    str,
    str,
    str,
    str,
    str,
    VisitorKind,
    Consent,
    tuple[str, ...],
]
"""The fields of a hit in its order. Reading all at once costs half of reading each by name."""

ClientKey = tuple[str, str, str, str]
"""User agent and the three client hints."""


@final
class ClientColumns:
    """The columns that depend on the user agent and the client hints alone."""

    __slots__ = ("agent_size", "columns", "is_bot")

    def __init__(self, columns: Piece, agent_size: int, is_bot: bool) -> None:
        self.columns: Final = columns
        """`user_agent` to `open_kind`, of a hit that is not a mail open."""
        self.agent_size: Final = agent_size
        """Bytes of `user_agent` to `device`."""
        self.is_bot: Final = is_bot


@final
class PageColumns:
    """The columns that depend on the page's URL alone."""

    __slots__ = ("attribution", "click_id", "columns", "problem", "site", "utm")

    def __init__(
        self, columns: Piece, site: str, utm: Piece, attribution: Piece | None, click_id: Piece, problem: str = ""
    ) -> None:
        self.columns: Final = columns
        """`url` to `path`."""
        self.site: Final = site
        self.utm: Final = utm
        """`utm_source` to `utm_marketing_tactic`."""
        self.attribution: Final = attribution
        """`source` to `channel`; None if the URL names no campaign."""
        self.click_id: Final = click_id
        """`click_id_name`, `click_id`."""
        self.problem: Final = problem
        """Why the URL cannot be read; empty if it can."""


@final
class PageViewColumns:
    """The columns that depend on a page view: which page, under which title, from where."""

    __slots__ = ("columns", "seen_size", "unusable")

    def __init__(self, columns: Piece, seen_size: int, unusable: tuple[str, ...]) -> None:
        self.columns: Final = columns
        """`url` to `currency`, for a hit that sent nothing more."""
        self.seen_size: Final = seen_size
        """Bytes of `url` to `click_id`."""
        self.unusable: Final = unusable
        """"url", "referrer": which of the two cannot be read."""


class Attribution(NamedTuple):
    """What brought the visitor, normalised."""

    source: str
    medium: str
    campaign: str
    channel: str


NOT_SET: Final = "(not set)"
_DIRECT: Final = piece("(direct)", "(none)", "", "Direct")
_NO_UTM: Final = piece(*NO_CAMPAIGN.utm)
_NO_CLICK_ID: Final = piece("", "")
_NO_EXTRAS: Final = piece("", "", "", "0", "")
_NO_PAGE: Final = PageColumns(piece("", "", ""), "", _NO_UTM, None, _NO_CLICK_ID)
_NO_PLACE: Final = piece(*NOWHERE)
_PERSON: Final = piece(False, "", "")
_DRIVEN: Final = piece(True, "webdriver", "")
"""Of a browser that a program drives, under a user agent that is no bot's."""
_FETCHED_AHEAD: Final = piece(True, "prefetch", "")
"""Of a browser that fetches a page ahead: no person has asked for it yet."""
_OPENED_AHEAD: Final = piece(False, "", "prefetch")
_NOT_A_HIT: Final = Refusal("undecodable", "id or time of receipt that no collector writes")
_MEDIUM_OF: Final = {"search": "organic", "email": "email"}
"""Medium of a referrer without UTM, by its kind; any other is a referral, as in GA4."""


class Enricher:
    """The tables of every step, and caches of their results.

    For a chunk of hits, call `enrich_familiar` with each; of those whose client is new, get the clients together from
    `clients_of` and then each row from `row_of` (`ChunkEnrichment` does). For single hits, call `enrich`.
    """

    def __init__(
        self,
        *,
        hosts: Hosts,
        agents: UserAgents,
        robots: Bots,
        mail: Mail,
        referrers: Referrers,
        campaigns: Campaigns,
        channels: Channels,
        locations: Locations | None = None,
        own_hosts: Mapping[str, OwnHosts] = _NO_OWN_HOSTS,
        remember: bool = True,
    ) -> None:
        """Take the tables (`enricher.tables` reads them); `locations` is asked if no CDN named a country, `own_hosts`
        (by site) has further hosts whose referrers are internal.

        Without `remember` nothing is cached: slow, same results.
        """
        self._hosts = hosts
        self._agents = agents
        self._bots = robots
        self._mail = mail
        self._referrers = referrers
        self._campaigns = campaigns
        self._channels = channels
        self.locations = locations
        self.own_hosts = own_hosts
        self.dropped_fields: Counter[tuple[str, str]] = Counter()
        """How often a field was not usable, by site and name; the stream takes the counts out."""
        self._clients: Cache[ClientKey, ClientColumns] = Cache(
            lambda key: self._read_clients([key])[0],
            entries=50_000,
            max_bytes=48 * _MIB,
            size=lambda key: sum(map(len, key)),
        )
        self._opens = remember_texts(self._open, 4)
        self._views: Cache[PageView, PageViewColumns] = Cache(
            self._view,
            entries=100_000,
            max_bytes=24 * _MIB,
            size=lambda view: 3 * sum(map(len, view)),
            recurs=True,
        )
        self._internal_views: Cache[PageView, PageViewColumns] = Cache(
            self._internal_view,
            entries=20_000,
            max_bytes=6 * _MIB,
            size=lambda view: 3 * sum(map(len, view)),
            recurs=True,
        )
        self._pages = remember_texts(self._page, 16, recurs=True)
        self._classified = remember_texts(self._referrers.classify, 8, recurs=True)
        self._referrals: Cache[tuple[str, ReferrerKind], Piece] = Cache(
            self._referral, entries=10_000, max_bytes=4 * _MIB, size=lambda key: len(key[0])
        )
        self._attributions: Cache[tuple[str, str, str], Piece] = Cache(
            self._attribution, entries=50_000, max_bytes=4 * _MIB, size=lambda key: sum(map(len, key))
        )
        self._mailings = remember_texts(_mailing, 2)
        self._reader = Reader()
        self._languages = remember_texts(primary, 2)
        self._header_places: Cache[tuple[str, str, str], Piece] = Cache(
            lambda headers: _placed(from_headers(*headers)),
            entries=50_000,
            max_bytes=8 * _MIB,
            size=lambda headers: 100,
        )
        self._places = remember_texts(self._place, 8)
        if not remember:
            for cache in self.caches.values():
                cache.remember_nothing()

    def enrich(self, hit: Hit) -> bytes | Refusal:
        """Return the row that `hit` becomes (`contract.decode_row` reads it), or why it cannot become one."""
        return self.row_of(hit, self._clients[_client_key(hit)])

    def enrich_familiar(self, hit: Hit) -> bytes | Refusal | None:
        """Return the same, or None if the columns of the hit's client are not cached."""
        client = self._clients.recall(_client_key(hit))
        return None if client is None else self.row_of(hit, client)

    def enrich_all(self, hits: Sequence[Hit]) -> list[bytes | Refusal]:
        """Return what each of `hits` becomes. New clients are read together, which costs a third of one by one."""
        return [self.row_of(hit, client) for hit, client in zip(hits, self.clients_of(hits), strict=True)]

    def clients_of(self, hits: Sequence[Hit]) -> list[ClientColumns]:
        """Return the columns of each hit's client, cached or read now."""
        return self._clients.all_of([_client_key(hit) for hit in hits], self._read_clients)

    def row_of(self, hit: Hit, client: ClientColumns) -> bytes | Refusal:
        (
            hit_id, at, kind, site, query, body, user_agent, referer, accept_language, _, _, _,
            purpose, country, region, city, ip, visitor_id, visitor_kind, consent, dropped,
        ) = cast(_Fields, astuple(hit))  # fmt: skip
        if not (is_hit_id(hit_id) and 0 <= at < _LATEST_MS):
            return _NOT_A_HIT
        # The Referer replaces a page that was not sent, not one that cannot be used.
        page_referer = "" if "url" in dropped else referer
        try:
            sent = self._reader.read(kind, query, body, page_referer)
        except Refused as why:
            return why.refusal
        event, url, sent_view, client_event_id, user_id, props, extras = sent
        inside = False
        if self.own_hosts and sent_view[1]:
            own = self.own_hosts.get(site)
            inside = own is not None and own.contains(self._classified[sent_view[1]].host)
        view = self._internal_views[sent_view] if inside else self._views[sent_view]
        if view.unusable or dropped or (extras is not None and extras.dropped):
            dropped = _all_dropped(dropped, view.unusable, extras, url, kind == "click" and sent_view[1] == referer)
            for name in dropped:
                self.dropped_fields[site, name] += 1
        page = view.columns
        if extras is not None or kind == "open":
            page = self._page_and_extras(sent_view, view, extras or NO_EXTRAS, mailed=kind == "open", inside=inside)
        agent = client.columns
        if kind == "open":
            agent = joined(start(agent, client.agent_size), self._opens[user_agent])
        elif kind == "server" and not user_agent:  # a server need not send a browser's user agent
            agent = joined(start(agent, client.agent_size), _PERSON)
        received_at = occurred_at = seconds(at)
        if extras is not None:
            if extras.webdriver and not client.is_bot and kind != "open":
                agent = joined(start(agent, client.agent_size), _DRIVEN)
            if extras.occurred_ms:
                occurred_at = seconds(extras.occurred_ms)
            elif extras.age_ms:
                occurred_at = seconds(max(at - extras.age_ms, 0))
        if purpose and is_prefetch(purpose):
            agent = self._fetched_ahead(agent, client, user_agent, kind)
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
                dropped,
            )
        )

    def _page_and_extras(
        self, sent_view: PageView, view: PageViewColumns, extras: Extras, *, mailed: bool, inside: bool
    ) -> Piece:
        """Return `url` to `currency` of a hit that sent more than a page view."""
        if extras.own or extras.click_id or mailed:
            page, ref = self._pages[sent_view[0]], self._classified[sent_view[1]]
            seen = self._seen(page, ref, sent_view, extras, mailed=mailed, inside=inside)
        else:
            seen = start(view.columns, view.seen_size)
        return joined(
            seen, piece(extras.link_code, extras.message_id, extras.list_id, extras.value or "0", extras.currency)
        )

    def _place_of(self, country: str, region: str, city: str, ip: str) -> Piece:
        """Return `country` to `city`: of the CDN's headers, else of the operator's file."""
        if country:
            place = self._header_places[country, region, city]
            if place is not _NO_PLACE:
                return place
        return self._places[ip] if self.locations is not None and ip else _NO_PLACE

    @property
    def campaigns(self) -> Campaigns:
        """The campaign parameters."""
        return self._campaigns

    @property
    def channels(self) -> Channels:
        """The rules of the channels."""
        return self._channels

    @property
    def referrers(self) -> Referrers:
        """The known referrers."""
        return self._referrers

    @property
    def caches(self) -> dict[str, Memory[Any, Any]]:
        """The caches, by name."""
        return {
            "user_agents": self._clients,
            "brands": self._agents.brands,
            "platforms": self._agents.platforms,
            "mail_openers": self._opens,
            "views": self._views,
            "internal_views": self._internal_views,
            "pages": self._pages,
            "referrers": self._classified,
            "sources": self._referrers.sources,
            "referrals": self._referrals,
            "sites": self._hosts.sites,
            "campaigns": self._attributions,
            "mailings": self._mailings,
            "parameters": self._reader.parameters,
            "queries": self._reader.queries,
            "bodies": self._reader.bodies,
            "events": self._reader.events,
            "languages": self._languages,
            "header_places": self._header_places,
            "places": self._places,
        }

    def forget_places(self) -> None:
        """Forget the places of all addresses: the file behind `locations` has changed."""
        self._places.forget()

    def _read_clients(self, keys: Sequence[ClientKey]) -> list[ClientColumns]:
        agents = self._agents.parse_all([(key[0], tuple.__new__(Hints, key[1:])) for key in keys])
        reasons = [self._bots.reason(key[0], key[1]) for key in keys]
        return [
            _client(piece(_stored(key[0]), *agent), reason)
            for key, agent, reason in zip(keys, agents, reasons, strict=True)
        ]

    def _open(self, agent: str) -> Piece:
        open_kind, rule = self._mail.opened_by(agent, self._bots.reason(agent))
        return piece(open_kind == "scanner" and rule != "", rule if open_kind == "scanner" else "", open_kind)

    def _fetched_ahead(self, agent: Piece, client: ClientColumns, user_agent: str, kind: Kind) -> Piece:
        """Return the client's columns of a hit that the browser fetched ahead; a known bot or scanner stays one."""
        if kind == "open":
            human = self._mail.opened_by(user_agent, self._bots.reason(user_agent))[0] == "human"
            return joined(start(agent, client.agent_size), _OPENED_AHEAD) if human else agent
        return agent if client.is_bot else joined(start(agent, client.agent_size), _FETCHED_AHEAD)

    def _view(self, sent_view: PageView) -> PageViewColumns:
        return self._view_columns(sent_view, inside=False)

    def _internal_view(self, sent_view: PageView) -> PageViewColumns:
        return self._view_columns(sent_view, inside=True)

    def _view_columns(self, sent_view: PageView, *, inside: bool) -> PageViewColumns:
        page = self._pages[sent_view[0]]
        ref = self._classified[sent_view[1]]
        seen = self._seen(page, ref, sent_view, NO_EXTRAS, mailed=False, inside=inside)
        unusable: tuple[str, ...] = ("url",) if page.problem else ()
        if not ref.readable:
            unusable += ("referrer",)
        return PageViewColumns(joined(seen, _NO_EXTRAS), len(bytes(seen)), unusable)

    def _seen(
        self, page: PageColumns, ref: Referrer, sent_view: PageView, extras: Extras, *, mailed: bool, inside: bool
    ) -> Piece:
        """Return `url` to `click_id`: of a page view, and of a campaign and click id in the hit's own query."""
        address, _, title = sent_view
        inside = inside or (page.site != "" and ref.site == page.site)
        named = ("", "internal", "") if inside else (ref.name, ref.kind, ref.term)
        utm, attribution, click_id = page.utm, page.attribution, page.click_id
        if extras.own and self._campaigns.named_in(extras.own):
            on_page = () if page.columns is _NO_PAGE.columns else clean(address).params
            utm, attribution, click_id = self._campaign_columns(self._campaigns.read(on_page + extras.own))
        if mailed and attribution is None:
            attribution = self._mailings[extras.list_id or extras.message_id]
        if attribution is None:
            by_sender = ref.name.lower() or ref.host.removeprefix("www.")
            attribution = self._referrals[by_sender, ref.kind] if ref.host and not inside else _DIRECT
        if extras.click_id and click_id is _NO_CLICK_ID:
            click_id = piece(OWN, extras.click_id)
        return joined(page.columns, piece(tidy_title(title), ref.url, ref.host, *named), utm, attribution, click_id)

    def _page(self, text: str) -> PageColumns:
        if not text:
            return _NO_PAGE
        try:
            url = clean(text)
        except BadUrl as error:
            return PageColumns(_NO_PAGE.columns, "", _NO_UTM, None, _NO_CLICK_ID, str(error))
        utm, attribution, click_id = self._campaign_columns(self._campaigns.read(url.params))
        return PageColumns(
            piece(url.text, url.host, url.path), self._hosts.site_of(url.host), utm, attribution, click_id
        )

    def _referral(self, key: tuple[str, ReferrerKind]) -> Piece:
        source, kind = key
        medium = _MEDIUM_OF.get(kind, "referral")
        return piece(*Attribution(source, medium, "", self._channels.of(source, kind, medium, "")))

    def _campaign_columns(self, found: Campaign) -> tuple[Piece, Piece | None, Piece]:
        """Return a campaign's columns: UTM as sent, attribution (None if it names no field of it), click id.

        If it names source, medium or campaign, then a missing source or medium is "(not set)", as in GA4.
        """
        if found is NO_CAMPAIGN:
            return _NO_UTM, None, _NO_CLICK_ID
        click_id = piece(found.click_id_name, found.click_id) if found.click_id else _NO_CLICK_ID
        attribution = None
        if found.source or found.medium or found.campaign:
            attribution = self._attributions[found.source or NOT_SET, found.medium or NOT_SET, found.campaign]
        return piece(*found.utm), attribution, click_id

    def _attribution(self, key: tuple[str, str, str]) -> Piece:
        source, medium, name = key
        kind = self._referrers.kind_of(source)
        return piece(*Attribution(source, medium, name, self._channels.of(source, kind, medium, name)))

    def _place(self, ip: str) -> Piece:
        return _placed(self.locations.find(ip)) if self.locations else _NO_PLACE


def _all_dropped(
    by_collector: tuple[str, ...], unusable: tuple[str, ...], extras: Extras | None, url: str, own_referrer: bool
) -> tuple[str, ...]:
    """Return the names of all fields that were sent and are not usable, each once.

    A page or referrer that is only the Referer header's (`url` empty, `own_referrer`) was not sent by name.
    """
    names = [*by_collector, *(extras.dropped if extras is not None else ())]
    if url and "url" in unusable:
        names.append("url")
    if "referrer" in unusable and not own_referrer:
        names.append("referrer")
    return tuple(dict.fromkeys(names))


def _client(agent: Piece, bot_reason: str) -> ClientColumns:
    verdict = piece(True, bot_reason, "") if bot_reason else _PERSON
    return ClientColumns(joined(agent, verdict), len(bytes(agent)), bot_reason != "")


def _placed(place: Place) -> Piece:
    return _NO_PLACE if place is NOWHERE else piece(*place)


def _mailing(name: str) -> Piece:
    """The attribution of a mail open: by mail; the campaign is the mail's list, else its own id."""
    return piece(*Attribution("email", "email", " ".join(name.lower().split()), "Email"))


def _stored(agent: str) -> str:
    """Return a user agent as it is stored: bounded, on one line."""
    text = agent[:_AGENT_LONGEST].strip()
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def _client_key(hit: Hit) -> ClientKey:
    return hit.user_agent, hit.sec_ch_ua, hit.sec_ch_ua_mobile, hit.sec_ch_ua_platform
