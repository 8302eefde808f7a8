"""Hit in, row or Refusal out: the steps of enrichment, in reading order.

Rule: pure. No clock, no randomness, no I/O; the same hit gives the same bytes under the same rules and tables. What
costs is remembered, in bounded caches, as the columns it fills, already encoded (`row.py`); remembering changes no
answer. Longer than most modules, since the whole way of a hit stands in it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from collector.contract import Hit
from enricher import bots, campaign, channel, mail, referrer, user_agent
from enricher.cache import Cache, remember_texts
from enricher.campaign import SILENT, Campaign
from enricher.event_id import RULES, are_hit_ids, event_ids, versions
from enricher.geo import NOWHERE, Locations, Place, from_headers
from enricher.hosts import Hosts
from enricher.language import primary
from enricher.referrer import NOBODY
from enricher.row import Piece, piece, rows
from enricher.said import NOTHING, Reader, Refusal
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

    agent: Piece
    """`user_agent` to `device`."""
    verdict: Piece
    """`is_bot` to `open_kind`, of what is no mail open."""


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


class Sent(NamedTuple):
    """All that a referrer tells."""

    site: str
    outside: tuple[Piece, Piece]
    """`referrer` to `search_term`, and `source` to `channel` where no campaign speaks."""
    inside: tuple[Piece, Piece]
    """The same, for a page of the referrer's own site."""


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
_NO_PAGE: Final = Page(piece("", "", ""), "", _NO_UTM, None, _NO_CLICK_ID)
_NO_PLACE: Final = piece(*NOWHERE)
_PERSON: Final = piece(False, "", "")
_NO_HIT: Final = Hit(id="0" * 32, at=0, kind="server", site="")
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
        self._opens = remember_texts(self._open, 8)
        self._pages = remember_texts(self._page, 32)
        self._senders = remember_texts(self._sender, 16)
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

        Step by step, and a step for all hits: half the price of one hit after another. A step makes columns, or one
        column of pieces. A refused hit goes along with nothing said; its row is replaced in the end.
        """
        if not hits:
            return []
        refused = _unsound(hits)
        if refused:
            hits = [_NO_HIT if number in refused else hit for number, hit in enumerate(hits)]

        said = []
        for number, each in enumerate(self._reader.read_all(hits)):
            if isinstance(each, Refusal):
                refused[number] = each
                said.append(NOTHING)
            else:
                said.append(each)
        event, url, page_url, referrer, title, client_event_id, user_id, *rest = zip(*said, strict=True)
        value, currency, occurred, props, message_id, list_id, link_code, own_click_id, own = rest
        kind = [hit.kind for hit in hits]
        opens = _places_of("open", kind)

        pages = [self._pages[text] for text in page_url]
        page, page_site, utm, arrival, click_id, problem = map(list, zip(*pages, strict=True))
        for number in _where(problem):
            if url[number]:
                refused[number] = Refusal("bad_url", problem[number])

        senders = [self._senders[text] for text in referrer]
        sent = [
            each.inside if site and each.site == site else each.outside
            for each, site in zip(senders, page_site, strict=True)
        ]
        sender, sent_arrival = zip(*sent, strict=True)

        for number in _where(own):
            if self._campaigns.named_in(own[number]):
                on_page = () if page[number] is _NO_PAGE.columns else clean(page_url[number]).params
                found = self._campaigns.read(on_page + own[number])
                utm[number], arrival[number], click_id[number] = self._brought(found)
        for number in opens:
            if arrival[number] is None:
                arrival[number] = self._mailings[list_id[number] or message_id[number]]
        for number in _where(own_click_id):
            if click_id[number] is _NO_CLICK_ID:
                click_id[number] = piece(OWN_CLICK_ID, own_click_id[number])

        agent, verdict = map(list, zip(*self.clients(hits), strict=True))
        for number in opens:
            verdict[number] = self._opens[hits[number].user_agent]
        for number in _places_of("server", kind):
            if not hits[number].user_agent:
                verdict[number] = _PERSON  # a server need not say whose browser it speaks for

        place = [
            self._told_places[hit.geo_country, hit.geo_region, hit.geo_city] if hit.geo_country else _NO_PLACE
            for hit in hits
        ]
        if self.locations is not None:
            place = [
                self._places[hit.ip] if told is _NO_PLACE and hit.ip else told
                for told, hit in zip(place, hits, strict=True)
            ]

        site = [hit.site for hit in hits]
        received = [hit.at for hit in hits]
        received_at = occurred_at = _seconds(received)
        if any(occurred):
            occurred_at = _seconds([told or had for told, had in zip(occurred, received, strict=True)])
        made: list[bytes | Refusal] = [
            *rows(
                event_ids([hit.id for hit in hits], site, event, client_event_id),
                site,
                event,
                kind,
                received_at,
                occurred_at,
                versions(kind, received),
                [hit.visitor_id for hit in hits],
                [hit.visitor_kind for hit in hits],
                user_id,
                client_event_id,
                page,
                title,
                sender,
                utm,
                [by_sender if told is None else told for told, by_sender in zip(arrival, sent_arrival, strict=True)],
                click_id,
                link_code,
                message_id,
                list_id,
                [each or "0" for each in value],
                currency,
                agent,
                verdict,
                [self._languages[hit.accept_language] for hit in hits],
                place,
                [hit.ip for hit in hits],
                [hit.consent for hit in hits],
                props,
                [RULES] * len(hits),
            )
        ]
        for number, refusal in refused.items():
            made[number] = refusal
        return made

    def clients(self, hits: Sequence[Hit]) -> list[Client]:
        """Say what sent each of `hits`. New user agents are judged together: a third of what they cost one by one."""
        keys = [(hit.user_agent, hit.sec_ch_ua, hit.sec_ch_ua_mobile, hit.sec_ch_ua_platform) for hit in hits]
        return self._clients.all_of(keys, self._judge_clients)

    @property
    def caches(self) -> dict[str, Cache[Any, Any]]:
        """What is remembered, by name."""
        return {
            "user_agents": self._clients,
            "brands": self._agents.brands,
            "platforms": self._agents.platforms,
            "mail_openers": self._opens,
            "pages": self._pages,
            "referrers": self._senders,
            "sites": self._hosts.sites,
            "campaigns": self._arrivals,
            "mailings": self._mailings,
            "parameters": self._reader.parameters,
            "titles": self._reader.titles,
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
            tuple.__new__(Client, (piece(_stored(key[0]), *agent), piece(True, reason, "") if reason else _PERSON))
            for key, agent, reason in zip(keys, agents, reasons, strict=True)
        ]

    def _open(self, agent: str) -> Piece:
        open_kind, rule = self._mail.opened_by(agent, self._bots.reason(agent))
        return piece(open_kind == "scanner" and rule != "", rule if open_kind == "scanner" else "", open_kind)

    def _page(self, text: str) -> Page:
        if not text:
            return _NO_PAGE
        try:
            url = clean(text)
        except BadUrl as error:
            return _NO_PAGE._replace(problem=str(error))
        columns = piece(url.text, url.host, url.path)
        return Page(columns, self._hosts.site_of(url.host), *self._brought(self._campaigns.read(url.params)))

    def _sender(self, text: str) -> Sent:
        ref = self._referrers.judge(text)
        columns = piece(ref.url, ref.host, ref.name, ref.kind, ref.term)
        if ref is NOBODY or not ref.host:
            return Sent("", (columns, _DIRECT), (columns, _DIRECT))
        source = ref.name.lower() or ref.host.removeprefix("www.")
        medium = _MEDIUM_OF.get(ref.kind, "referral")
        arrival = Arrival(source, medium, "", self._channels.of(source, ref.kind, medium, ""))
        inside = piece(ref.url, ref.host, "", "internal", "")
        return Sent(ref.site, (columns, piece(*arrival)), (inside, _DIRECT))

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


def _placed(place: Place) -> Piece:
    return _NO_PLACE if place is NOWHERE else piece(*place)


def _mailing(name: str) -> Piece:
    """A mail that is opened brings its reader by mail: campaign is its list, else its own id."""
    return piece(*Arrival("email", "email", " ".join(name.lower().split()), "Email"))


def _stored(agent: str) -> str:
    """Return a user agent as it is stored: bounded, on one line."""
    text = agent[:_AGENT_LONGEST].strip()
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def _unsound(hits: Sequence[Hit]) -> dict[int, Refusal]:
    """Return those of `hits` that no collector writes, by their place."""
    received = [hit.at for hit in hits]
    if are_hit_ids([hit.id for hit in hits]) and min(received) >= 0 and max(received) < _LATEST_MS:
        return {}
    refusal = Refusal("undecodable", "id or time of receipt that no collector writes")
    return {
        number: refusal for number, hit in enumerate(hits) if not (are_hit_ids([hit.id]) and 0 <= hit.at < _LATEST_MS)
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
