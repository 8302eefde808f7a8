"""A second implementation of docs/sql.md, in plain Python, to compare the SQL with. Nothing here is fast or shared.

Written from the definitions, not from the SQL: loops where the SQL has arrays, fractions where it has integers,
removal of one channel after another where it inverts one matrix, every subset of channels where it has a closed form.

Long: the definitions follow each other as on that page.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import combinations
from uuid import UUID

import numpy as np

IDLE = timedelta(minutes=30)
LOOKS_BACK_AT_MOST = timedelta(hours=12)
KINDS = ("arrival", "click", "open")
NO_ARRIVALS = (
    "engagement",
    "consent",
    "outbound",
    "download",
    "scroll",
    "form",
    "contact",
    "error",
    "not_found",
    "vitals",
)
"""Events of these names never begin a session and never bring a campaign."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """The columns of `pharos.events` that a definition speaks of. `value` is in ten-thousandths."""

    event_id: UUID
    occurred_at: datetime
    site: str = "shop"
    event: str = "pageview"
    kind: str = "tag"
    visitor_id: str = ""
    user_id: str = ""
    client_event_id: str = ""
    url: str = ""
    path: str = ""
    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""
    utm_term: str = ""
    utm_content: str = ""
    utm_id: str = ""
    click_id_name: str = ""
    click_id: str = ""
    source: str = "(direct)"
    medium: str = "(none)"
    campaign: str = ""
    channel: str = "Direct"
    value: int = 0
    currency: str = ""
    is_bot: bool = False
    open_kind: str = ""
    message_id: str = ""
    link_code: str = ""
    device: str = ""
    country: str = ""
    host: str = ""
    referrer_host: str = ""
    referrer_kind: str = ""
    ip: str = ""
    user_agent: str = ""
    consent: str = "given"
    props: dict[str, str] = field(default_factory=dict)
    late_ms: int = 0
    """From then until the collector had it. No column."""
    authenticated: bool = False
    """Whether a server sent it or a copy of it. No column."""
    gross: int = 0
    """Of a conversion: its value before refunds. No column."""

    @property
    def received_at(self) -> datetime:
        """When the collector had it."""
        return self.occurred_at + timedelta(milliseconds=self.late_ms)

    @property
    def key(self) -> tuple[datetime, str]:
        """What events are ordered by."""
        return (self.occurred_at, self.event_id.hex)

    @property
    def arrives(self) -> bool:
        """Whether somebody arrives with it, so that a session may begin."""
        return self.event not in NO_ARRIVALS and (self.kind != "server" or self.url != "")

    @property
    def began(self) -> datetime:
        """When it began: an engagement counts its time backwards."""
        ms = self.props.get("ms", "")
        if self.event != "engagement" or not ms.isdecimal():
            return self.occurred_at
        return self.occurred_at - min(timedelta(milliseconds=int(ms)), LOOKS_BACK_AT_MOST)

    @property
    def campaign_key(self) -> tuple[str, ...] | None:
        """What makes a campaign another one; None without campaign and click id, or if the event is no arrival."""
        if not self.arrives or not (
            self.utm_source or self.utm_medium or self.utm_campaign or self.utm_id or self.click_id
        ):
            return None
        return (self.source, self.medium, self.campaign, self.utm_id, self.click_id)


@dataclass
class Session:
    """Events of one visitor, in order."""

    events: list[Event]
    campaign: tuple[str, ...] | None = None

    @property
    def arrival(self) -> Event:
        """The first event: somebody arrives with it."""
        return self.events[0]

    @property
    def value(self) -> dict[str, int]:
        """Sum of values by currency."""
        total: dict[str, int] = {}
        for event in self.events:
            if event.value:
                total[event.currency] = total.get(event.currency, 0) + event.value
        return total


@dataclass(frozen=True)
class Touch:
    """A touchpoint."""

    event: Event
    kind: str


@dataclass(frozen=True)
class Journey:
    """A conversion and the touches that led to it."""

    conversion: Event
    person: str
    touches: tuple[Touch, ...] = field(default=())


def standing(log: Iterable[Event]) -> list[Event]:
    """Return each event once: of its copies (one site, name and id) a browser's, and of those the first received.

    Money and user are those of the first copy that a server sent, where it has them; so is `is_bot`.
    """
    copies: dict[tuple[str, ...], list[Event]] = defaultdict(list)
    for copy in log:
        own_id = ("", copy.event_id.hex)
        copies[copy.site, *((copy.event, copy.client_event_id) if copy.client_event_id else own_id)].append(copy)
    found = []
    for own in copies.values():
        event = min(own, key=lambda c: (c.kind == "server", c.received_at))
        servers = sorted((c for c in own if c.kind == "server"), key=lambda c: c.received_at)
        if servers:
            first = servers[0]
            claims = first.value != 0 or first.currency != ""
            event = replace(
                event,
                authenticated=True,
                value=first.value if claims else event.value,
                currency=first.currency if claims else event.currency,
                user_id=first.user_id or event.user_id,
                is_bot=first.is_bot,
            )
        found.append(event)
    return found


def sessions(log: Iterable[Event]) -> list[Session]:
    """Cut each visitor's events, bots apart; what comes after an idle gap and before an arrival is in no session."""
    by_visitor: dict[tuple[str, str, bool], list[Event]] = defaultdict(list)
    for event in standing(log):
        if event.visitor_id and event.kind != "open" and not is_suppression(event):
            by_visitor[event.site, event.visitor_id, event.is_bot].append(event)
    found = []
    for own in by_visitor.values():
        running: Session | None = None
        before: Event | None = None
        for event in sorted(own, key=lambda e: e.key):
            if before is not None and event.began - before.occurred_at >= IDLE:
                running = None
            before = event
            new_campaign = event.campaign_key is not None
            if event.arrives and (running is None or (new_campaign and event.campaign_key != running.campaign)):
                running = Session([])
                found.append(running)
            if running is not None:
                running.events.append(event)
                running.campaign = event.campaign_key or running.campaign
    return found


def is_suppression(event: Event) -> bool:
    """Return whether the event is a refusal, which only says whom to leave out."""
    return event.event == "consent" and event.consent == "refused"


def touches(log: Iterable[Event]) -> list[Touch]:
    """Arrivals of sessions, clicks, opens by humans; bots left out."""
    events = standing(log)
    found = []
    for session in sessions(e for e in events if not e.is_bot):
        arrival = session.arrival
        found.append(Touch(arrival, "arrival"))
        found += [Touch(e, "click") for e in session.events if e.kind == "click" and e is not arrival]
    for event in events:
        if event.is_bot:
            continue
        if event.kind == "open" and event.open_kind == "human":
            found.append(Touch(event, "open"))
        if event.kind == "click" and not event.visitor_id:
            found.append(Touch(event, "click"))
    return found


def people(log: Iterable[Event]) -> Callable[[Event], str]:
    """Return the person of an event; empty if it has none. Any copy may name a visitor's user."""
    named: dict[tuple[str, str], str] = {}
    for event in sorted(log, key=lambda e: (*e.key, e.user_id)):
        if event.visitor_id and event.user_id and not event.is_bot:
            named.setdefault((event.site, event.visitor_id), event.user_id)

    def person(event: Event) -> str:
        if event.visitor_id:
            user = named.get((event.site, event.visitor_id), "")
            return f"user {user}" if user else f"visitor {event.visitor_id}"
        return f"user {event.user_id}" if event.user_id else ""

    return person


def conversions(log: Iterable[Event], site: str, goal: str) -> list[Event]:
    """Events that meet the goal, once each; `value` is what refunds leave of `gross`."""
    log = list(log)
    refunds: dict[tuple[str, ...], Event] = {}
    for copy in sorted(log, key=lambda c: (c.kind != "server", c.received_at)):  # a server's first
        if copy.site == site and (copy.event == "refund" or copy.value < 0):
            refunds.setdefault((copy.event, copy.client_event_id or copy.event_id.hex), copy)
    found = []
    for event in standing(log):
        if event.site != site or not meets(event, goal) or event.is_bot:
            continue
        back = [
            r
            for r in refunds.values()
            if event.client_event_id
            and (r.props.get("order_id") or r.client_event_id) == event.client_event_id
            and not r.is_bot
            and r.event != event.event
            and r.currency in ("", event.currency)
            and (r.kind == "server" or not event.authenticated)
        ]
        left = event.value
        if event.value > 0 and back:
            all_of_it = any(r.value == 0 for r in back)
            left = 0 if all_of_it else max(0, event.value - sum(abs(r.value) for r in back))
        found.append(replace(event, gross=event.value, value=left))
    return found


def meets(event: Event, goal: str) -> bool:
    """Return whether the event meets a goal: a name, perhaps a path in which * is any text, perhaps properties."""
    text, _, wanted = goal.strip().removesuffix("]").partition("[")
    name, _, path = text.strip().partition(" ")
    parts = [re.escape(part) for part in path.strip().split("*")]
    if event.event != name or (path and not re.fullmatch(".*".join(parts), event.path, re.DOTALL)):
        return False
    pairs = [pair.partition("=") for pair in wanted.split(",") if pair]
    return all(event.props.get(key.strip(), "") == value.strip() for key, _, value in pairs)


def _trails(
    events: Sequence[Event], site: str, name: str, until: datetime, kinds: Sequence[str], ignore: Sequence[str]
) -> tuple[dict[str, list[Touch]], dict[str, list[Event]]]:
    """Return each person's touches and conversions before `until`, in order."""
    person = people(events)
    touched: dict[str, list[Touch]] = defaultdict(list)
    converted: dict[str, list[Event]] = defaultdict(list)
    for touch in sorted(touches(events), key=lambda t: t.event.key):
        taken = touch.kind in kinds and touch.event.source not in ignore
        if taken and touch.event.site == site and touch.event.occurred_at < until and person(touch.event):
            touched[person(touch.event)].append(touch)
    for event in sorted(conversions(events, site, name), key=lambda e: e.key):
        if event.occurred_at < until:
            converted[person(event) or f"event {event.event_id}"].append(event)
    return touched, converted


def journeys(
    events: Sequence[Event],
    site: str,
    name: str,
    lookback_days: int,
    since: datetime,
    until: datetime,
    restart: bool = True,
    kinds: Sequence[str] = KINDS,
    ignore: Sequence[str] = (),
) -> list[Journey]:
    """One a conversion in [since, until)."""
    touched, converted = _trails(events, site, name, until, kinds, ignore)
    found = []
    for person, own in converted.items():
        for conversion in own:
            if conversion.occurred_at < since:
                continue
            earliest = conversion.occurred_at - timedelta(days=lookback_days)
            led = [
                t for t in touched.get(person, []) if t.event.occurred_at >= earliest and t.event.key <= conversion.key
            ]
            if restart and led:
                before = [c for c in own if c.key < led[-1].event.key]
                if before:
                    led = [t for t in led if t.event.key > before[-1].key]
            found.append(Journey(conversion, person, tuple(led)))
    return found


def unfinished(
    events: Sequence[Event],
    site: str,
    name: str,
    since: datetime,
    until: datetime,
    kinds: Sequence[str] = KINDS,
    ignore: Sequence[str] = (),
) -> list[list[Touch]]:
    """What each person touched in [since, until) after their last conversion."""
    touched, converted = _trails(events, site, name, until, kinds, ignore)
    found = []
    for person, own in touched.items():
        last = converted[person][-1].key if converted.get(person) else None
        left = [t for t in own if t.event.occurred_at >= since and (last is None or t.event.key > last)]
        if left:
            found.append(left)
    return found


def shares(journey: Journey, model: str, half_life_days: float = 7) -> list[Fraction]:
    """Return each touch's part of the conversion, adding up to one."""
    led = journey.touches
    n = len(led)
    if model == "first":
        weights = [Fraction(int(i == 0)) for i in range(n)]
    elif model == "last":
        weights = [Fraction(int(i == n - 1)) for i in range(n)]
    elif model == "last_non_direct":
        known = [i for i in range(n) if led[i].event.channel != "Direct"] or [n - 1]
        weights = [Fraction(int(i == known[-1])) for i in range(n)]
    elif model == "linear":
        weights = [Fraction(1, n)] * n
    elif model == "position":
        if n <= 2:
            weights = [Fraction(1, n)] * n
        else:
            weights = [Fraction(2, 5), *[Fraction(1, 5 * (n - 2))] * (n - 2), Fraction(2, 5)]
    elif model == "time_decay":
        ages = [(journey.conversion.occurred_at - t.event.occurred_at) / timedelta(days=1) for t in led]
        weights = [Fraction(2 ** (-(age - min(ages)) / half_life_days)) for age in ages]
    else:
        raise ValueError(model)
    return [w / sum(weights) for w in weights]


Row = tuple[str, str, str, str, str]
"""channel, source, medium, campaign, currency"""


def attribution(
    found: Iterable[Journey], model: str, half_life_days: float = 7
) -> dict[Row, tuple[Fraction, Fraction, Fraction]]:
    """Return conversions, value and gross (in whole money) by row."""
    rows: dict[Row, tuple[Fraction, Fraction, Fraction]] = defaultdict(lambda: (Fraction(0), Fraction(0), Fraction(0)))
    for journey in found:
        money = Fraction(journey.conversion.value, 10_000)
        gross = Fraction(journey.conversion.gross, 10_000)
        currency = journey.conversion.currency
        if not journey.touches:
            parts = [(("Unattributed", "", "", "", currency), Fraction(1))]
        else:
            parts = [
                ((t.event.channel, t.event.source, t.event.medium, t.event.campaign, currency), share)
                for t, share in zip(journey.touches, shares(journey, model, half_life_days), strict=True)
            ]
        for row, share in parts:
            conversions_so_far, value_so_far, gross_so_far = rows[row]
            rows[row] = (conversions_so_far + share, value_so_far + share * money, gross_so_far + share * gross)
    return dict(rows)


def shapley(found: Iterable[Journey], player: Callable[[Touch], str]) -> dict[tuple[str, str], tuple[float, float]]:
    """Return conversions and value by (player, currency), by the definition: every subset of the players.

    A set of players is worth the conversions whose journeys met no other player.
    """
    found = list(found)
    players = sorted({player(t) for journey in found for t in journey.touches})
    rows: dict[tuple[str, str], tuple[float, float]] = {}
    for currency in {j.conversion.currency for j in found}:
        own = [j for j in found if j.conversion.currency == currency]
        alone = [j for j in own if not j.touches]
        if alone:
            rows["Unattributed", currency] = (len(alone), sum(j.conversion.value for j in alone) / 10_000)
        met = [(frozenset(player(t) for t in j.touches), j.conversion.value) for j in own if j.touches]

        def worth(members: frozenset[str], met: list[tuple[frozenset[str], int]] = met) -> tuple[Fraction, Fraction]:
            inside = [value for path, value in met if path <= members]
            return Fraction(len(inside)), Fraction(sum(inside), 10_000)

        for one in players:
            others = [p for p in players if p != one]
            conversions_, value = Fraction(0), Fraction(0)
            for size in range(len(players)):
                weight = shapley_weight(size, len(players))
                for chosen in combinations(others, size):
                    with_one, without = worth(frozenset(chosen) | {one}), worth(frozenset(chosen))
                    conversions_ += weight * (with_one[0] - without[0])
                    value += weight * (with_one[1] - without[1])
            if conversions_ or value:
                rows[one, currency] = (float(conversions_), float(value))
    return rows


def shapley_weight(size: int, players: int) -> Fraction:
    """Return the chance that, in a random order of the players, just `size` of them are before a given one."""
    return Fraction(math.factorial(size) * math.factorial(players - size - 1), math.factorial(players))


def markov(
    converted: Iterable[Sequence[str]], ended: Iterable[Sequence[str]]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return each channel's removal effect and its part of the conversions.

    Paths are the channels in order. Each channel is taken out in turn: who would go there is lost; the chance to
    convert is solved again by numpy.
    """
    converted, ended = [list(p) for p in converted if p], [list(p) for p in ended if p]
    channels = sorted({c for path in [*converted, *ended] for c in path})
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for paths, end in ((converted, "(conversion)"), (ended, "(nothing)")):
        for path in paths:
            for this, following in zip(["(start)", *path], [*path, end], strict=True):
                counts[this, following] += 1

    def chance(without: str | None) -> float:
        states = ["(start)", *(c for c in channels if c != without)]
        matrix = np.zeros((len(states), len(states)))
        wins = np.zeros(len(states))
        for i, this in enumerate(states):
            total = sum(n for (a, _), n in counts.items() if a == this)
            if not total:
                continue
            for j, following in enumerate(states):
                matrix[i, j] = counts[this, following] / total
            wins[i] = counts[this, "(conversion)"] / total
        return float(np.linalg.solve(np.eye(len(states)) - matrix, wins)[0])

    base = chance(None)
    effects = {c: 1 - chance(c) / base if base else 0.0 for c in channels}
    total = sum(effects.values())
    return effects, {c: effect / total if total else 0.0 for c, effect in effects.items()}
