"""Hit in, row or Refusal out: the steps of enrichment, in reading order.

Rule: pure. No clock, no randomness, no I/O; the same hit gives the same bytes under the same rules and tables. What
costs is remembered, in bounded caches, as the columns it fills, already encoded (`row.py`); remembering changes no
answer. Longer than most modules, since the whole way of a hit stands in it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from collector.contract import Hit
from enricher import bots, campaign, channel, mail, referrer, user_agent
from enricher.cache import Cache, Memory, remember_texts
from enricher.campaign import SILENT, Campaign
from enricher.columns import Columns, columns_of
from enricher.event_id import RULES, are_hit_ids, event_ids, versions
from enricher.geo import NOWHERE, Locations, Place, from_headers
from enricher.hosts import Hosts
from enricher.language import primary
from enricher.referrer import Kind as ReferrerKind
from enricher.row import Piece, joined, piece, rows, start
from enricher.said import NO_REST, Look, Reader, Refusal, Rest, Said, tidy_title
from enricher.url import BadUrl, clean
from enricher.user_agent import Hints

_LATEST_MS: Final = 9_000_000_000_000
_FIRST_OF_13_DIGITS: Final = 1_000_000_000_000
_DIGITS_AT: Final = (*range(10), *range(11, 14))
"""Where digits of milliseconds stand in text with three decimals."""
_AGENT_LONGEST: Final = 1024
_MIB: Final = 1 << 20

ClientKey = tuple[str, str, str, str]
"""User agent and the three client hints."""


class Client(NamedTuple):
    """All that a user agent tells."""

    columns: Piece
    """`user_agent` to `open_kind`, of what is no mail open."""
    agent_size: int
    """Bytes of `user_agent` to `device`."""


class Page(NamedTuple):
    """All that a page's URL tells."""

    columns: Piece
    """`url` to `path`."""
    site: str
    utm: Piece
    """`utm_source` to `utm_marketing_tactic`."""
    arrival: Piece | None
    """`source` to `channel`; None where the URL is silent."""
    click_id: Piece
    """`click_id_name`, `click_id`."""
    problem: str = ""
    """Why the URL cannot be meant."""


class View(NamedTuple):
    """All that a look tells: which page, under which title, from where."""

    columns: Piece
    """`url` to `currency`, where nothing is said but the look."""
    seen_size: int
    """Bytes of `url` to `click_id`."""
    problem: str
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
_ANYBODY: Final = Client(piece(""), 0)
"""In place of a client that has still to be judged."""
NO_HIT: Final = Hit(id="0" * 32, at=0, kind="server", site="")
_MEDIUM_OF: Final = {"search": "organic", "email": "email"}
"""Medium of a referrer without UTM, by its kind; any other is a referral, as in GA4."""


class Enricher:
    """The tables of every step, with the memory of what they answered."""

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
            lambda look: self._view_all([look])[0],
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
        return self.enrich_all([hit])[0]

    def enrich_all(self, hits: Sequence[Hit]) -> list[bytes | Refusal]:
        """Return what each of `hits` becomes: its row, or a refusal.

        Step by step, and a step for all hits: half the price of one hit after another.
        """
        if not hits:
            return []
        columns, said, refused = self._heard(hits)
        return self._rows(columns, said, self._clients.all_of(_client_keys(columns), self._judge_clients), refused)

    def enrich_familiar(self, hits: Sequence[Hit]) -> list[bytes | Refusal | None]:
        """Return the same, but None of a hit whose client has not been met, or is forgotten: `meet` it first."""
        if not hits:
            return []
        columns, said, refused = self._heard(hits)
        clients = self._clients.recall_all(_client_keys(columns))
        strangers = [] if all(clients) else [number for number, client in enumerate(clients) if client is None]
        for number in strangers:
            clients[number] = _ANYBODY
        made: list[bytes | Refusal | None] = [*self._rows(columns, said, cast(list[Client], clients), refused)]
        for number in strangers:
            if not isinstance(made[number], Refusal):
                made[number] = None
        return made

    def meet(self, hits: Sequence[Hit]) -> None:
        """Judge what sent `hits`, where it is new; together a third of the price of one by one."""
        if hits:
            self._clients.all_of(_client_keys(columns_of(hits)), self._judge_clients)

    def _heard(self, hits: Sequence[Hit]) -> tuple[Columns, list[Said], dict[int, Refusal]]:
        """Return columns, what each hit says, and by their place those that are refused, with nothing said."""
        columns = columns_of(hits)
        refused = _unsound(columns)
        if refused:
            columns = columns_of([NO_HIT if number in refused else hit for number, hit in enumerate(hits)])
        said, unclear = self._reader.read_all(columns)
        return columns, said, refused | unclear

    def _rows(
        self, hits: Columns, said: Sequence[Said], clients: Sequence[Client], refused: dict[int, Refusal]
    ) -> list[bytes | Refusal]:
        """Return the rows, and the refusals in their place. Each step makes columns, or one column of pieces."""
        event, url, look, client_event_id, user_id, props, rest = zip(*said, strict=True)
        opens = _places_of("open", hits.kind)
        talkative = _where(rest)

        views = self._views.all_of(look, self._view_all)
        page = [view[0] for view in views]
        for number in {*opens, *talkative}:
            more = rest[number] or NO_REST
            if more.own or more.click_id or number in opens:
                seen = self._seen(self._pages[look[number][0]], look[number], more, mailed=number in opens)
            else:
                seen = start(page[number], views[number].seen_size)
            ending = piece(more.link_code, more.message_id, more.list_id, more.value or "0", more.currency)
            page[number] = joined(seen, ending)

        agent = [client[0] for client in clients]
        for number in opens:
            agent[number] = joined(
                start(agent[number], clients[number].agent_size), self._opens[hits.user_agent[number]]
            )
        for number in _places_of("server", hits.kind):
            if not hits.user_agent[number]:  # a server need not say whose browser it speaks for
                agent[number] = joined(start(agent[number], clients[number].agent_size), _PERSON)

        place = [_NO_PLACE] * len(said)
        for number in _where(hits.geo_country):
            place[number] = self._told_places[hits.geo_country[number], hits.geo_region[number], hits.geo_city[number]]
        if self.locations is not None:
            place = [
                self._places[ip] if told is _NO_PLACE and ip else told for told, ip in zip(place, hits.ip, strict=True)
            ]

        received_at = occurred_at = _seconds(hits.at)
        if any(rest[number].occurred_ms for number in talkative):
            occurred = list(hits.at)
            for number in talkative:
                occurred[number] = rest[number].occurred_ms or occurred[number]
            occurred_at = _seconds(occurred)
        made: list[bytes | Refusal] = [
            *rows(
                event_ids(hits.id, hits.site, event, client_event_id),
                hits.site,
                event,
                hits.kind,
                received_at,
                occurred_at,
                versions(hits.kind, hits.at),
                hits.visitor_id,
                hits.visitor_kind,
                user_id,
                client_event_id,
                page,
                agent,
                [self._languages[each] for each in hits.accept_language],
                place,
                hits.ip,
                hits.consent,
                props,
                [RULES] * len(said),
            )
        ]
        for number in _where([view[2] for view in views]):
            if url[number]:
                made[number] = Refusal("bad_url", views[number].problem)
        for number, refusal in refused.items():
            made[number] = refusal
        return made

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

    def _view_all(self, looks: Sequence[Look]) -> list[View]:
        pages = [self._pages[look[0]] for look in looks]
        seen = [self._seen(page, look, NO_REST, mailed=False) for page, look in zip(pages, looks, strict=True)]
        return [
            tuple.__new__(View, (joined(each, _NO_REST), len(bytes(each)), page.problem))
            for each, page in zip(seen, pages, strict=True)
        ]

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
            return _NO_PAGE._replace(problem=str(error))
        columns = piece(url.text, url.host, url.path)
        utm, arrival, click_id = self._brought(self._campaigns.read(url.params))
        return tuple.__new__(Page, (columns, self._hosts.site_of(url.host), utm, arrival, click_id, ""))

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
    return tuple.__new__(Client, (joined(agent, verdict), len(bytes(agent))))


def _placed(place: Place) -> Piece:
    return _NO_PLACE if place is NOWHERE else piece(*place)


def _mailing(name: str) -> Piece:
    """A mail that is opened brings its reader by mail: campaign is its list, else its own id."""
    return piece(*Arrival("email", "email", " ".join(name.lower().split()), "Email"))


def _stored(agent: str) -> str:
    """Return a user agent as it is stored: bounded, on one line."""
    text = agent[:_AGENT_LONGEST].strip()
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def _client_keys(hits: Columns) -> list[ClientKey]:
    return list(
        zip(hits.user_agent, hits.sec_ch_ua, hits.sec_ch_ua_mobile, hits.sec_ch_ua_platform, strict=True),
    )


def _unsound(hits: Columns) -> dict[int, Refusal]:
    """Return those of `hits` that no collector writes, by their place."""
    if are_hit_ids(hits.id) and min(hits.at) >= 0 and max(hits.at) < _LATEST_MS:
        return {}
    refusal = Refusal("undecodable", "id or time of receipt that no collector writes")
    return {
        number: refusal
        for number, (hit_id, at) in enumerate(zip(hits.id, hits.at, strict=True))
        if not (are_hit_ids([hit_id]) and 0 <= at < _LATEST_MS)
    }


def _places_of(value: object, column: Sequence[object]) -> list[int]:
    """Return where a column says what it seldom says."""
    return [number for number, each in enumerate(column) if each == value] if value in column else []


def _where(column: Sequence[object]) -> list[int]:
    """Return where a column that seldom says anything does."""
    return [number for number, each in enumerate(column) if each] if any(column) else []


def _seconds(moments_ms: Sequence[int]) -> list[str]:
    """Return each in seconds, with three decimals. As long as all have 13 digits (2001 to 2286), a digit at a time."""
    digits = "".join(map(str, moments_ms)).encode()
    if len(digits) != 13 * len(moments_ms) or min(moments_ms) < _FIRST_OF_13_DIGITS:
        return [f"{each[:-3]}.{each[-3:]}" for each in map("{:04d}".format, moments_ms)]
    pointed = bytearray(b".") * (14 * len(moments_ms))
    for number, place in enumerate(_DIGITS_AT):
        pointed[place::14] = digits[number::13]
    text = pointed.decode()
    return [text[start : start + 14] for start in range(0, len(text), 14)]


def load(geo_mmdb: str) -> Enricher:
    """Read every table, and the MMDB file where one is named; about half a second.

    Raises:
        OSError: a file cannot be read.
        maxminddb.InvalidDatabaseError: `geo_mmdb` is no MMDB file.
    """
    return Enricher(Locations(Path(geo_mmdb)) if geo_mmdb else None)
