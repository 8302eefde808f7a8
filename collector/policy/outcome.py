"""What becomes of a request: the records to be stored and the verdict on each of its hits. One place for every route.

A request is decided once, and counted by its verdicts. `collector.http.answer` makes the answer of an Outcome.
Longer than most modules: the routes differ in little, which is only plain where they are next to each other.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from collector.contract import HIT_VERSION, Kind, click_ids
from collector.contract.fields import DEFAULT_EVENT
from collector.policy import cors, events_body, ids, links
from collector.policy.client import NO_CLIENT, Client, inner_json, text_json
from collector.policy.client_address import client_address, first_address, truncate
from collector.policy.cookies import NONE, Cookies
from collector.policy.events_body import Event, TooLarge, Unreadable
from collector.policy.ids import Ids
from collector.policy.query import judge, named_site, without_user_id
from collector.policy.refusal import Refusal
from collector.policy.refused_hits import RefusedHits
from collector.policy.ruleset import Ruleset
from collector.policy.sites import Site, Sites
from collector.policy.verdict import Verdict, Verdicts

_MOST_ADDRESSES: Final = 4096
_LINKER: Final = ids.LINKER.encode() + b"="
_REFERER: Final = b',"referer":"'
_json = msgspec.json.Encoder().encode


PIXEL: Final = 1
EVENTS: Final = 2
SERVER_EVENTS: Final = 3
CLICK: Final = 4


class Sent:
    """A request, as its headers and connection describe it."""

    __slots__ = ("client", "cookies", "ip", "referer_json")

    def __init__(self, client: Client, referer_json: bytes, cookies: Cookies, ip: str) -> None:
        self.client: Final = client
        self.referer_json: Final = referer_json
        """The Referer's part of a record, with a comma before it; empty if not sent."""
        self.cookies: Final = cookies
        self.ip: Final = ip
        """The client's full address."""

    @property
    def page(self) -> str:
        """The page's origin, or its address if the browser sent only the Referer; empty if neither."""
        return self.client.origin or self.referer_json[len(_REFERER) : -1].decode("utf-8", "replace")


NOT_A_PAGE: Final = Sent(NO_CLIENT, b"", NONE, "")
"""Of a site's server."""


class Dropped(NamedTuple):
    """A field that an accepted event is stored without: its value cannot be used."""

    place: int
    """Of the event in the request."""
    site: str
    field: str


class Outcome:
    """What becomes of one request."""

    __slots__ = (
        "detail",
        "dropped",
        "location",
        "origin",
        "own_site",
        "records",
        "route",
        "verdicts",
        "visitor",
        "whole",
    )

    def __init__(self, route: int, origin: str, *, own_site: bool = False) -> None:
        self.route: Final = route
        """PIXEL, EVENTS, SERVER_EVENTS or CLICK."""
        self.origin: Final = origin
        """The `Origin` header; empty if not sent."""
        self.own_site: Final = own_site
        """As in Client."""
        self.records: list[bytes] = []
        """To be written to the spool, all or none, before the answer leaves."""
        self.verdicts: list[Verdict] = []
        """Of each hit, in order; empty where there is nothing to count."""
        self.visitor = b""
        """The visitor's id for the cookies of the answer."""
        self.location = ""
        """Where a click leads; empty where the link leads nowhere."""
        self.dropped: list[Dropped] = []
        self.whole = False
        """The body is refused as a whole; its one verdict is of no single event."""
        self.detail = ""
        """What is wrong with a body that is refused as a whole, for people."""


class Outcomes:
    """Decides the requests of one worker under one Ruleset. `tick` sets the time."""

    def __init__(self, ruleset: Ruleset, ids: Ids, refused_hits: RefusedHits | None = None) -> None:
        """`refused_hits` outlives this ruleset."""
        self.ruleset: Final = ruleset
        self.refused_hits: Final = RefusedHits() if refused_hits is None else refused_hits
        self.verdicts: Final = Verdicts(ruleset)
        self.address_faults: dict[str, int] = {}
        """Address headers that were not believed, by their fault."""
        self.dropped_fields: dict[tuple[str, str], int] = {}
        """Fields that accepted events are stored without, by (site, field)."""
        self._ids: Final = ids
        self._sites_of_token: Final[dict[str, dict[str, Site]]] = _by_token(ruleset.sites)
        self._peers: Final[dict[str, str]] = {}
        """Addresses of connections' other ends in canonical text."""
        self._destinations: Final[dict[str, links.Destination]] = {}
        """Of the named links that were followed so far."""
        self._now_ms = 0
        self._id_time = self._id_json = self._at_json = b""

    def tick(self, now_ms: int) -> None:
        """Set the time of the requests that are decided next, in epoch milliseconds."""
        if now_ms != self._now_ms:
            self._now_ms = now_ms
            self._id_time = b"%012x7" % now_ms
            self._id_json = b'{"v":%d,"id":"%b' % (HIT_VERSION, self._id_time)
            self._at_json = b'","at":%d' % now_ms

    def sent(self, client: Client, referer_json: bytes, cookies: Cookies, peer: str, forwarded: str) -> Sent:
        """Describe a request. An address header that is not believed is counted.

        `peer` is the connection's other end, `forwarded` the header in which a proxy gives the client's address, empty
        if not sent.
        """
        if not forwarded:
            ip = self._peers.get(peer)
            if ip is None:
                if len(self._peers) >= _MOST_ADDRESSES:
                    self._peers.clear()
                ip = self._peers[peer] = client_address(peer, "", self.ruleset.trusted).ip
            return Sent(client, referer_json, cookies, ip)
        address = client_address(peer, forwarded, self.ruleset.trusted)
        if address.fault:
            self.address_faults[address.fault] = self.address_faults.get(address.fault, 0) + 1
        return Sent(client, referer_json, cookies, address.ip)

    def pixel(self, kind: Kind, query: str, sent: Sent) -> Outcome:
        """Decide a pixel; `kind` is `pixel` or `open`."""
        asked = judge(query, self.ruleset.sites, self._now_ms, self.ruleset.back_ms)
        if isinstance(asked, Refusal):
            return self._refused(PIXEL, asked, named_site(query), sent)
        token_events = self.ruleset.sites[asked.site].token_events
        if token_events:
            for name in asked.events or (DEFAULT_EVENT[kind],):
                if name in token_events:
                    return self._refused(PIXEL, Refusal.UNAUTHORIZED, asked.site, sent, asked.site)
        outcome = self.usable_pixel(kind, inner_json(asked.query), asked.site, asked.consent, sent, asked.dropped)
        if outcome.verdicts[0].recorded:
            self._note_dropped(outcome, asked.site, (*asked.unreadable, *asked.dropped))
        return outcome

    def usable_pixel(
        self, kind: Kind, query: bytes, site: str, consent: str, sent: Sent, dropped: tuple[str, ...] = ()
    ) -> Outcome:
        """Decide a pixel whose query is usable, and names this site and consent.

        `query` is in the form of `inner_json`; `dropped` names the fields that were left out of it. Where the browser
        opened the pixel's own address, by a link that anyone may have written, its consent parameter does not count.
        """
        client = sent.client
        if site not in self.ruleset.sites:
            return self._refused(PIXEL, Refusal.UNKNOWN_SITE, site, sent)
        if client.origin and cors.is_refused(client.origin, self.ruleset.sites[site]):
            return self._refused(PIXEL, Refusal.ORIGIN, site, sent, site)
        outcome = Outcome(PIXEL, client.origin)
        verdict = self._verdict(outcome, kind, site, "" if client.navigates else consent, sent)
        visitor = self._visitor(sent, verdict)
        if verdict.set_cookies:
            outcome.visitor = visitor
        self._suppress(outcome, verdict, sent.cookies.visitor)
        if verdict.recorded:
            if not verdict.allowed:
                query = without_user_id(query)
            outcome.records.append(self._record(verdict, self._ids.tail(), query, sent, visitor, dropped))
        return outcome

    def post(self, raw: bytes, coding: str, sent: Sent) -> Outcome:
        """Decide the body of a `POST /e`, with its Content-Encoding. All its events are of one visitor."""
        client, sites = sent.client, self.ruleset.sites
        outcome = Outcome(EVENTS, client.origin, own_site=client.own_site)
        suppressed: set[str] = set()
        has_linker = bool(raw.partition(_LINKER)[1])  # `in` costs four times as much: it tries for a number first
        for raw_event in self._split(outcome, raw, coding, sent):
            event = self._judged(raw_event, EVENTS, sent)
            if isinstance(event, Verdict):
                outcome.verdicts.append(event)
                continue
            site = event.site
            token_events = sites[site].token_events
            if token_events and (event.name or DEFAULT_EVENT["tag"]) in token_events:
                outcome.verdicts.append(self._refusal(EVENTS, Refusal.UNAUTHORIZED, site, sent.page, site))
                continue
            if client.origin and cors.is_refused(client.origin, sites[site]):
                outcome.verdicts.append(self._refusal(EVENTS, Refusal.ORIGIN, site, sent.page, site))
                continue
            consent = "" if client.navigates else event.consent  # as for a pixel: a form on any page can post here
            verdict = self._verdict(outcome, "tag", site, consent, sent)
            linker, host = event.take_linker() if has_linker else ("", "")
            if verdict.source == "fresh" and outcome.visitor:
                visitor = outcome.visitor  # one for the whole batch
            else:
                visitor = self._visitor(sent, verdict)
                if linker and verdict.source == "fresh":
                    visitor = self._linked(linker, host, site, sent) or visitor
                if verdict.set_cookies and visitor:
                    outcome.visitor = visitor
            if verdict.consent == "refused" and site not in suppressed:
                suppressed.add(site)
                self._suppress(outcome, verdict, sent.cookies.visitor)
            if verdict.recorded:
                self._keep(outcome, event, verdict, sent, visitor)
        return outcome

    def _split(self, outcome: Outcome, raw: bytes, coding: str, sent: Sent) -> list[Any]:
        """Return the events of a body; none, and a refusal in `outcome`, where it cannot be read."""
        try:
            return events_body.split(events_body.inflate(raw, coding) if coding else raw)
        except (TooLarge, Unreadable) as problem:
            refusal = Refusal.TOO_LARGE if isinstance(problem, TooLarge) else Refusal.BAD_BODY
            outcome.verdicts.append(self._refusal(outcome.route, refusal, "", sent.page))
            outcome.whole, outcome.detail = True, str(problem)
            return []

    def unread(self, route: int, refusal: Refusal, detail: str, client: Client = NO_CLIENT) -> Outcome:
        """Return the outcome of a body that is refused before it is read."""
        outcome = Outcome(route, client.origin, own_site=client.own_site)
        outcome.verdicts.append(self._refusal(route, refusal, "", client.origin))
        outcome.whole, outcome.detail = True, detail
        return outcome

    def server_post(self, raw: bytes, coding: str, allowed: Mapping[str, Site]) -> Outcome:
        """Decide the body of a `POST /v1/events` whose token is good for the sites in `allowed`.

        The request's own headers and address are the server's, not the visitor's: only the event's fields count. A
        visitor id is kept where the site's policy and the event's consent allow one.
        """
        outcome = Outcome(SERVER_EVENTS, "")
        for raw_event in self._split(outcome, raw, coding, NOT_A_PAGE):
            event = self._judged(raw_event, SERVER_EVENTS, NOT_A_PAGE)
            if isinstance(event, Verdict):
                outcome.verdicts.append(event)
                continue
            site = event.site
            if site not in allowed:
                outcome.verdicts.append(self._refusal(SERVER_EVENTS, Refusal.UNAUTHORIZED, site, "", site))
                continue
            address = first_address(event.ip)
            client = NO_CLIENT._replace(
                user_agent=event.user_agent, agent_json=b'"' + text_json("user_agent", event.user_agent)
            )
            sent = Sent(client, b"", NONE, address)
            verdict = self._verdict(outcome, "server", site, event.consent, sent)
            self._suppress(outcome, verdict, inner_json(event.visitor_id))
            if not verdict.recorded:
                continue
            if verdict.source != "cookieless":
                visitor = inner_json(event.visitor_id) if verdict.source else b""
            else:
                visitor = self._visitor(sent, verdict) if address else b""
            self._keep(outcome, event, verdict, sent, visitor, ("ip",) if event.ip and not address else ())
        return outcome

    def _keep(
        self,
        outcome: Outcome,
        event: Event,
        verdict: Verdict,
        sent: Sent,
        visitor: bytes,
        not_taken: tuple[str, ...] = (),
    ) -> None:
        """Add the record of a body's event to the outcome; `not_taken` names fields that were sent and have no use."""
        excess = event.remove_excess(self.ruleset.sites[verdict.site].max_value)
        dropped = event.dropped + excess + not_taken
        self._note_dropped(outcome, verdict.site, event.unreadable() + dropped)
        text = _escaped(event.body(with_user_id=verdict.allowed))
        outcome.records.append(self._record(verdict, self._ids.tail(), text, sent, visitor, dropped))

    def _note_dropped(self, outcome: Outcome, site: str, names: tuple[str, ...]) -> None:
        for name in names:
            outcome.dropped.append(Dropped(len(outcome.verdicts) - 1, site, name))
            key = (site, name)
            self.dropped_fields[key] = self.dropped_fields.get(key, 0) + 1

    def named_click(self, code: str, query: str, sent: Sent, *, counts: bool) -> Outcome:
        """Decide a request for a link of `links.toml`; `counts` is false for a HEAD, by which link checkers ask."""
        link = self.ruleset.links.get(code)
        if link is None:
            return self._refused(CLICK, Refusal.UNKNOWN_LINK, code, sent)
        destination = self._destinations.get(code)
        if destination is None:
            destination = self._destinations[code] = links.Destination(link.to, link.utm)
        return self._click(link.site, destination, links.passed_on(query) if query else (), code, sent, counts)

    def signed_click(self, query: str, sent: Sent, *, counts: bool) -> Outcome:
        """Decide a request for a link that carries its destination and a signature; `counts` as above."""
        target = links.verify(query, self.ruleset.link_keys)
        site = None if target is None else self.ruleset.sites.get(target.site)
        if target is None or site is None:
            return self._refused(CLICK, Refusal.BAD_SIGNATURE, named_site(query), sent)
        if site.redirect_hosts and links.host_of(target.url) not in site.redirect_hosts:
            return self._refused(CLICK, Refusal.BAD_SIGNATURE, target.site, sent)
        return self._click(target.site, links.Destination(target.url), target.passed_on, "", sent, counts)

    def _click(
        self,
        site: str,
        destination: links.Destination,
        added: tuple[tuple[str, str], ...],
        code: str,
        sent: Sent,
        counts: bool,
    ) -> Outcome:
        """Decide a click on a good link, with parameters to add. The redirect does not depend on the hit.

        A link takes no consent parameter: anyone may write one into a link. The click id is the hit's own id; a visitor
        who has refused gets none, for it would tie the click to the page.
        """
        outcome = Outcome(CLICK, "")
        if not counts:
            outcome.location = destination.url(added)
            return outcome
        verdict = self._verdict(outcome, "click", site, "", sent)
        visitor = self._visitor(sent, verdict)
        if verdict.set_cookies:
            outcome.visitor = visitor
        self._suppress(outcome, verdict, sent.cookies.visitor)
        if verdict.recorded:
            tail = self._ids.tail()
            text = b'{\\"event\\":\\"click'
            if code:
                text += b'\\",\\"link_code\\":\\"' + code.encode()
            if verdict.consent != "refused":
                hit_id = self._id_time + tail
                added += ((click_ids.OWN, hit_id.decode("ascii")),)
                text += b'\\",\\"click_id\\":\\"' + hit_id
            outcome.location = destination.url(added)
            text = b"".join((text, b'\\",\\"url\\":\\"', _escaped(inner_json(outcome.location)), b'\\"}'))
            outcome.records.append(self._record(verdict, tail, text, sent, visitor))
        else:
            outcome.location = destination.url(added)
        return outcome

    def sites_of(self, authorization: str) -> dict[str, Site]:
        """Return the sites whose token an `Authorization` header bears. Found by the token's digest."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return {}
        digest = sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        return self._sites_of_token.get(digest, {})

    def counts(self) -> list[tuple[str, str, int]]:
        """Return (site, result, hits) since the last call; the result is `accepted` or a refusal."""
        return self.verdicts.counts()

    def opt_out(self, visitor: bytes) -> Outcome:
        """Return the outcome of an opt-out page: the visitor's id is suppressed on every site that uses the cookie."""
        outcome = Outcome(PIXEL, "")
        if visitor:
            for site, policy in self.ruleset.sites.items():
                if policy.identity == "cookie":
                    outcome.records.append(self._suppression(site, visitor))
        return outcome

    def _suppress(self, outcome: Outcome, verdict: Verdict, visitor: bytes) -> None:
        """Record that the owner of an id has refused, so that views leave out what is stored under it.

        The record has the id and nothing else: no page, no address, no user. It is written once per refusal, since the
        answer deletes the cookie.
        """
        if visitor and verdict.consent == "refused" and self.ruleset.sites[verdict.site].identity == "cookie":
            outcome.records.append(self._suppression(verdict.site, visitor))

    def _suppression(self, site: str, visitor: bytes) -> bytes:
        return b"".join(
            (
                self._id_json,
                self._ids.tail(),
                self._at_json,
                b',"kind":"tag","site":"',
                inner_json(site),
                b'","body":"{\\"event\\":\\"consent\\"}","visitor_id":"',
                visitor,
                b'","visitor_kind":"cookie","consent":"refused"}',
            )
        )

    def _verdict(self, outcome: Outcome, kind: Kind, site: str, consent: str, sent: Sent) -> Verdict:
        verdict = self.verdicts.find(kind, site, consent, sent.client.signals, sent.cookies.state)
        verdict.hits += 1
        outcome.verdicts.append(verdict)
        return verdict

    def _refused(self, route: int, refusal: Refusal, name: str, sent: Sent, site: str = "") -> Outcome:
        outcome = Outcome(route, "" if route == CLICK else sent.client.origin)
        outcome.verdicts.append(self._refusal(route, refusal, name, sent.page, site))
        return outcome

    def _refusal(self, route: int, refusal: Refusal, name: str, page: str, site: str = "") -> Verdict:
        """Refuse a hit under every policy. `name` and `page` as in RefusedHits, `site` as in Verdict."""
        self.refused_hits.note(self._now_ms, route, refusal, name, page)
        verdict = self.verdicts.refused(refusal, site)
        verdict.hits += 1
        return verdict

    def _judged(self, raw: Any, route: int, sent: Sent) -> Event | Verdict:
        event = events_body.judge(raw, self._now_ms, back_ms=self.ruleset.back_ms, server=route == SERVER_EVENTS)
        if isinstance(event, Refusal):
            # Named where it can be, so that the metric shows the operator whose events are refused.
            named = raw.get("site") if isinstance(raw, dict) else getattr(raw, "site", None)
            name = named if isinstance(named, str) else ""
            return self._refusal(route, event, name, sent.page, name if name in self.ruleset.sites else "")
        if event.site not in self.ruleset.sites:
            return self._refusal(route, Refusal.UNKNOWN_SITE, event.site, sent.page)
        return event

    def linker(self, site: str, host: str, sent: Sent) -> str:
        """Return what takes the visitor's id to a page of the site on this host; empty where there is nothing to take.

        There is nothing where the site's policy, the visitor's consent or signals forbid an id, where the visitor has
        none yet, where the host is not one of the site's `hosts`, and without a link key.
        """
        policy, keys = self.ruleset.sites.get(site), self.ruleset.link_keys
        if policy is None or not keys or not any(f".{host}".endswith(f".{own}") for own in policy.hosts):
            return ""
        if self.verdicts.find("tag", site, "", sent.client.signals, sent.cookies.state).source != "cookie":
            return ""
        visitor, random = sent.cookies.visitor.decode(), self._ids.visitor_digits().decode()
        return ids.linker(visitor, site, host, sent.client.user_agent, self._now_ms, random, keys[0])

    def _linked(self, linker: str, host: str, site: str, sent: Sent) -> bytes:
        keys, agent = self.ruleset.link_keys, sent.client.user_agent
        return ids.visitor_of(linker, site, host, agent, self._now_ms, keys).encode()

    def _visitor(self, sent: Sent, verdict: Verdict) -> bytes:
        """Return the visitor's id, as digits."""
        source = verdict.source
        if source == "cookie":
            return sent.cookies.visitor
        if source == "fresh":
            return self._ids.visitor_digits()
        if source == "cookieless":
            return self.ruleset.cookieless(verdict.site, sent.ip, sent.client.user_agent).encode("ascii")
        return b""

    def _record(
        self, verdict: Verdict, tail: bytes, text: bytes, sent: Sent, visitor: bytes, dropped: tuple[str, ...] = ()
    ) -> bytes:
        """Return the bytes that `contract.encode` would return for this hit.

        `tail` ends the hit's id; `text` is its query or body, and `visitor` the visitor's id, as JSON writes them
        between the quotes. `dropped` names the fields that were left out of `text`.
        """
        client = sent.client
        ip_json = verdict.ip_json.get(sent.ip)
        if ip_json is None:
            ip_json = text_json("ip", truncate(sent.ip, verdict.ip))
            if len(verdict.ip_json) >= _MOST_ADDRESSES:
                verdict.ip_json.clear()
            verdict.ip_json[sent.ip] = ip_json
        parts = [
            self._id_json,
            tail,
            self._at_json,
            verdict.prefix,
            text,
            client.agent_json,
            sent.referer_json,
            client.rest_json,
            ip_json,
        ]
        if visitor:
            parts += (b',"visitor_id":"', visitor, verdict.kind_json)
        parts.append(verdict.consent_json)
        if dropped:
            parts[-1] = verdict.consent_json[:-1] + b',"dropped":' + _json(dropped) + b"}"
        return b"".join(parts)


def _escaped(json: bytes) -> bytes:
    """Return JSON escaped for the inside of a JSON string. Encoded JSON holds no control characters."""
    return inner_json(json.decode())


def _by_token(sites: Sites) -> dict[str, dict[str, Site]]:
    found: dict[str, dict[str, Site]] = {}
    for key, site in sites.items():
        for digest in site.tokens:
            found.setdefault(digest, {})[key] = site
    return found
