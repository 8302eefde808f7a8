"""What the analysts' views cost against the floor that no plan can beat: their columns, scanned and grouped by visitor.

Twenty million events of two million visitors are generated straight into `pharos.event_log`, in SQL and seeded by hash
functions: five million visits of four events over sixty days in the shares of the mix, one event in a hundred written
twice, three purchases in two hundred visits. The floor of a view reads the columns that the view's definition needs,
with FINAL as any answer that counts each event once must, and keeps one hash a visitor. Sessions and attribution have a
second, lower one, of the columns that their views read (two, made at insert, replace ten of the others):
`cpu_to_columns_read` is the ratio to it. What reads a few rows only has no floor. Answers are made whole, and thrown
away. The engine is a process of its own with a memory limit of 4 GiB; CPU time is that process's own.

Long: the made-up events, the questions and their floors belong together.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

import msgspec

from loadtest.bench.frame import Bench, Contestant, Figures, Options
from loadtest.check.closed_days import Closed, close_days, create

ROWS: Final = 20_000_000
SMALL_ROWS: Final = 20_000
ROWS_A_VISITOR: Final = 10
MEMORY_BYTES: Final = 4 << 30
CHUNK: Final = 1_000_000
DAYS: Final = 60
START_MS: Final = 1788566400000
"""2026-09-05, UTC."""
MONTH_ROWS: Final = 400_000
MONTH_DAYS: Final = 30
HISTORIES: Final = (1, 6, 12)
"""Months of MONTH_ROWS events each, the last of which the questions are about."""

FILL: Final = """
INSERT INTO pharos.event_log (event_id, site, event, kind, received_at, occurred_at, version, visitor_id, visitor_kind,
    user_id, client_event_id, url, host, path, title, utm_source, utm_medium, utm_campaign, source, medium, campaign,
    channel, click_id_name, click_id, value, currency, is_bot, consent, open_kind, message_id, list_id, ip, user_agent,
    props)
WITH
    number AS n,
    intDiv(n, 4) AS visit,
    n % 4 AS step,
    sipHash64(visit, {start_ms}, 'visitor') % {visitors} AS visitor,
    sipHash64(visit, 'way') AS luck,
    if(step = 0, luck % 10, 0) AS way,
    toUInt64({start_ms} + toUInt64(visit * {ms_a_visit}) + step * 47000 + sipHash64(n, 'ms') % 1000) AS ms,
    lower(hex(toUInt64(ms))) AS ms_hex,
    lower(hex(sipHash128(n, {start_ms}, 'id'))) AS random,
    toUUID(concat(substring(ms_hex, 1, 8), '-', substring(ms_hex, 9, 4), '-7', substring(random, 1, 3), '-8',
                  substring(random, 4, 3), '-', substring(random, 7, 12))) AS timed_id,
    -- Shares of rows as in the mix: tag 60 %, pixel 20, server 10, opens and clicks 5 each.
    step = 1 AND luck % 10 < 4 AS is_server,
    step = 3 AND luck % 200 >= 160 AS is_open,
    step = 0 AND luck % 10 >= 8 AS is_click,
    NOT (is_server OR is_open OR is_click) AND sipHash64(visit, 'carrier') % 4 > 0 AS is_tag,
    multiIf(step = 3 AND luck % 200 < 3, 'purchase', step = 2 AND luck % 20 = 1, 'signup', is_open, 'open',
            is_server, 'renewal', is_click, 'click', is_tag AND step = 3, 'engagement', 'pageview') AS name,
    concat('camp-', toString(luck % 7)) AS tag,
    way IN (1, 2, 3, 4, 8, 9) AS tagged,
    is_open OR is_click AS of_mail,
    if(is_server, '', concat('/p/', toString(sipHash64(n, 'page') % 2000))) AS page
SELECT
    if(is_server, toUUID(concat(substring(random, 1, 8), '-', substring(random, 9, 4), '-5', substring(random, 13, 3),
                                '-8', substring(random, 16, 3), '-', substring(random, 19, 12))), timed_id),
    'shop', name, multiIf(is_click, 'click', is_open, 'open', is_server, 'server', is_tag, 'tag', 'pixel'),
    ms / 1000., ms / 1000., {version},
    lower(hex(sipHash128(visitor, 'name'))), 'cookie',
    if(visitor % 10 = 0, concat('u-', toString(visitor % {users})), ''),
    multiIf(is_server, concat('order-', toString(n)), is_tag, toString(timed_id), ''),
    if(is_server, '', concat('https://shop.example', page)), if(is_server, '', 'shop.example'), page,
    if(is_server, '', 'Blue mug'),
    if(tagged, ['youtube', 'linkedin', 'newsletter', 'google', '', '', '', 'newsletter', 'partner'][way], ''),
    if(tagged, ['video', 'social', 'email', 'cpc', '', '', '', 'email', 'affiliate'][way], ''),
    if(tagged, tag, ''),
    ['(direct)', 'youtube', 'linkedin', 'newsletter', 'google', '(direct)', 'google', 'bing', 'newsletter',
     'partner'][way + 1],
    ['(none)', 'video', 'social', 'email', 'cpc', '(none)', 'organic', 'organic', 'email', 'affiliate'][way + 1],
    if(tagged, tag, ''),
    ['Direct', 'Organic Video', 'Organic Social', 'Email', 'Paid Search', 'Direct', 'Organic Search', 'Organic Search',
     'Email', 'Affiliates'][way + 1],
    if(way = 4, 'gclid', ''), if(way = 4, toString(luck), ''),
    if(name IN ('purchase', 'renewal'), toDecimal64(990 + luck % 9000, 4) / 100, 0),
    if(name IN ('purchase', 'renewal'), ['EUR', 'USD'][1 + (luck % 5 = 0)], ''),
    visitor % 33 = 0, 'given',
    if(is_open, ['human', 'human', 'proxy', 'prefetch'][1 + luck % 4], ''), if(of_mail, tag, ''),
    if(is_open, 'all', ''),
    if(of_mail, concat('198.51.', toString(visitor % 250), '.0'), ''),
    if(of_mail, concat('Mozilla/5.0 (browser ', toString(visitor % 40), ')'), ''),
    if(name = 'engagement', map('ms', toString(100 + luck % 60000)), map())
FROM numbers({first}, {count})
WHERE {which}
SETTINGS max_block_size = 131072, max_insert_threads = 1
"""


WINDOW: Final = "since = '2026-10-05', until = '2026-11-04', tz = 'UTC'"
_GIVEN: Final = (
    f"site = 'shop', conversion = 'purchase', lookback_days = 30, {WINDOW}, restart = 0, "
    "touch_kinds = 'arrival,click', ignore = ''"
)
_ARRIVAL: Final = (
    "occurred_at, event_id, utm_source, utm_medium, utm_campaign, utm_id, click_id, kind, url, source, medium, "
    "campaign, channel"
)


def _floor(columns: str) -> str:
    """One number a visitor, made of every column of every row: nothing cheaper has read and grouped them."""
    return (
        f"SELECT site, visitor_id, is_bot, groupBitXor(cityHash64({columns})) "  # noqa: S608
        "FROM pharos.event_log FINAL GROUP BY site, visitor_id, is_bot"
    )


_READ: Final = "occurred_at, event_id, kind, visit_code, path, origin, currency, value"

FLOORS: Final = {
    "floor of sessions": _floor(f"{_ARRIVAL}, path, currency, value"),
    "floor of attribution": _floor(f"{_ARRIVAL}, event, user_id, client_event_id, currency, value"),
    "floor of people's days": _floor("occurred_at, event_id, event, kind, user_id"),
    "columns read by sessions": _floor(_READ),
    "columns read by attribution": _floor(f"{_READ}, event, user_id"),
}
READ: Final = {
    "floor of sessions": "columns read by sessions",
    "floor of attribution": "columns read by attribution",
}
"""The second floor of each first one."""

RULES: Final = ("first", "last", "last_non_direct", "linear", "position", "time_decay")
VIEWS: Final = {
    "sessions": ("floor of sessions", f"pharos.sessions_between(site = 'shop', {WINDOW})"),
    "top_pages": ("floor of sessions", f"pharos.top_pages(site = 'shop', {WINDOW})"),
    "touches": ("floor of attribution", f"pharos.touches_between(site = 'shop', {WINDOW})"),
    "journeys": ("floor of attribution", f"pharos.journeys({_GIVEN})"),
    **{
        f"attribution {model}": (
            "floor of attribution",
            f"pharos.attribution({_GIVEN}, model = '{model}', half_life_days = 7)",
        )
        for model in RULES
    },
    "attribution_shapley": ("floor of attribution", f"pharos.attribution_shapley({_GIVEN}, by = 'channel')"),
    "attribution_markov": (
        "floor of attribution",
        f"pharos.attribution_markov({_GIVEN}, by = 'channel', max_names = 100)",
    ),
    "attribution_models": ("floor of attribution", f"pharos.attribution_models({_GIVEN}, half_life_days = 7)"),
    "credits": ("floor of attribution", f"pharos.credits({_GIVEN}, model = 'position', half_life_days = 7)"),
    "campaigns": (
        "floor of attribution",
        f"pharos.campaigns({_GIVEN}, model = 'position', half_life_days = 7, currency = 'EUR', others = 'leave out')",
    ),
    "touch_details": ("floor of attribution", f"pharos.touch_details(site = 'shop', {WINDOW})"),
    "session_details": (
        "floor of sessions",
        f"pharos.session_details(site = 'shop', goals = 'signup', history_days = 0, {WINDOW})",
    ),
    "landing_pages": ("floor of sessions", f"pharos.landing_pages(site = 'shop', conversion = 'signup', {WINDOW})"),
    "persons": ("floor of attribution", f"pharos.persons(site = 'shop', conversion = 'purchase', {WINDOW})"),
    "tagging": ("", f"pharos.tagging(site = 'shop', {WINDOW})"),
    **{
        f"funnel_by {by or 'nothing'}": (
            "floor of people's days",
            "pharos.funnel_by(site = 'shop', steps = 'pageview,signup,purchase', window_hours = 24, "
            f"by = '{by}', {WINDOW})",
        )
        for by in ("", "channel")
    },
    "funnel, pages": (
        "",
        f"pharos.funnel(site = 'shop', steps = 'pageview /p/1*,pageview /p/2*', window_hours = 24, {WINDOW})",
    ),
    "audience_where": (
        "floor of people's days",
        "pharos.audience_where(site = 'shop', event = 'signup', min_count = 1, without = 'purchase', min_value = 0, "
        f"currency = '', channel = 'Email', {WINDOW})",
    ),
    "funnel": (
        "floor of people's days",
        f"pharos.funnel(site = 'shop', steps = 'pageview,signup,purchase', window_hours = 24, {WINDOW})",
    ),
    "retention": ("floor of people's days", f"pharos.retention(site = 'shop', event = 'signup', {WINDOW})"),
    "audience": (
        "floor of people's days",
        f"pharos.audience(site = 'shop', event = 'signup', min_count = 2, {WINDOW})",
    ),
    "conversions": ("", f"pharos.conversions(site = 'shop', event = 'purchase', {WINDOW})"),
    "mail_opens": ("", f"pharos.mail_opens(site = 'shop', {WINDOW})"),
    "realtime": ("", "pharos.realtime(site = 'shop', at = '2026-10-20 12:00:00', tz = 'UTC')"),
}
_MONTH: Final = "site = 'shop', since = '2026-09-05', until = '2026-10-05', tz = 'UTC'"
_MONTHS_GIVEN: Final = (
    f"{_MONTH}, conversion = 'purchase', lookback_days = 30, restart = 0, touch_kinds = 'arrival,click', ignore = ''"
)
_DAY: Final = "occurred_at >= '2026-09-20' AND occurred_at < '2026-09-21'"
MONTH: Final = {
    "attribution linear": f"SELECT * FROM pharos.attribution({_MONTHS_GIVEN}, model = 'linear', half_life_days = 7)",  # noqa: S608
    "attribution_markov": f"SELECT * FROM pharos.attribution_markov({_MONTHS_GIVEN}, by = 'channel', max_names = 100)",  # noqa: S608
    "sessions": f"SELECT * FROM pharos.sessions_between({_MONTH})",  # noqa: S608
    "top_pages": f"SELECT * FROM pharos.top_pages({_MONTH})",  # noqa: S608
    "funnel": f"SELECT * FROM pharos.funnel({_MONTH}, steps = 'pageview,signup,purchase', window_hours = 24)",  # noqa: S608
    "audience": f"SELECT * FROM pharos.audience({_MONTH}, event = 'signup', min_count = 2)",  # noqa: S608
    "retention": f"SELECT * FROM pharos.retention({_MONTH}, event = 'signup')",  # noqa: S608
    "conversions": f"SELECT * FROM pharos.conversions({_MONTH}, event = 'purchase')",  # noqa: S608
    "realtime": "SELECT * FROM pharos.realtime(site = 'shop', at = '2026-09-20 12:00:00', tz = 'UTC')",
    "one day's pages": f"SELECT path, count(), uniq(visitor_id) FROM pharos.events WHERE site = 'shop' AND {_DAY} GROUP BY path",  # noqa: E501, S608
    "one visitor": "SELECT occurred_at, event, url FROM pharos.events WHERE site = 'shop' AND visitor_id = "  # noqa: S608
    f"(SELECT any(visitor_id) FROM pharos.event_log WHERE {_DAY})",
}
"""Questions about the last month, for any history before it."""
SMALL_VIEWS: Final = ("sessions", "attribution linear", "audience", "conversions", "mail_opens", "realtime")


class Cost(msgspec.Struct, frozen=True):
    """What one statement took in the engine's process."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    """Greatest resident memory while it ran."""
    read_mb: float = 0
    """Read from tables, uncompressed."""


class Engine:
    """chDB in a process of its own, one statement at a time."""

    def __init__(self, folder: Path) -> None:
        argv = [sys.executable, "-m", "loadtest.bench.sql_engine", str(folder), str(MEMORY_BYTES)]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._to = cast("IO[bytes]", self._process.stdin)
        self._from = cast("IO[bytes]", self._process.stdout)

    def run(self, sql: str) -> Cost:
        """Run a statement and throw its rows away.

        Raises:
            RuntimeError: ClickHouse refused it; the message is ClickHouse's.
        """
        self._to.write(msgspec.json.encode(sql) + b"\n")
        self._to.flush()
        answer = msgspec.json.decode(self._from.readline(), type=Cost | str)
        if isinstance(answer, Cost):
            return answer
        raise RuntimeError(answer[:2000])

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=60)


def fill(engine: Engine, rows: int, days: int = DAYS, months_before: int = 0) -> None:
    """Generate `rows` events of `days` days, and one in a hundred again; `months_before` moves their start back."""
    visitors = max(1, rows // ROWS_A_VISITOR)
    for first in range(0, rows, CHUNK):
        for version, which in ((1, "true"), (2, "n % 100 = 0")):
            engine.run(
                FILL.format(
                    first=first,
                    count=min(CHUNK, rows - first),
                    visitors=visitors,
                    users=max(1, visitors // 2),
                    ms_a_visit=days * 86_400_000 / (rows / 4),
                    start_ms=START_MS - months_before * MONTH_DAYS * 86_400_000,
                    version=version,
                    which=which,
                )
            )
    engine.run("SYSTEM STOP MERGES pharos.event_log")


def filled(folder: Path, parts: Sequence[tuple[int, int, int]]) -> tuple[Engine, Closed]:
    """Return an engine over a new table, and what closing its days took; each part is (rows, days, months before)."""
    create(folder)
    engine = Engine(folder)
    try:
        for rows, days, months_before in parts:
            fill(engine, rows, days, months_before)
            print(f"filled: {rows:,} rows of {days} days, {months_before} months before", file=sys.stderr)
    finally:
        engine.close()
    closed = close_days(folder)
    engine = Engine(folder)
    engine.run("SYSTEM STOP MERGES pharos.event_log")
    return engine, closed


@contextmanager
def prepare(options: Options) -> Iterator[Bench]:
    """Fill a table in a temporary folder, yield floors and views, take the folder away."""
    sizes = (SMALL_ROWS,) if options.miniature else (ROWS // 20, ROWS)
    most = 1 if options.miniature else len(HISTORIES)
    with tempfile.TemporaryDirectory() as folder:
        engines: dict[int, Engine] = {}
        facts = {"memory limit of a query": "4 GiB", "rows written twice": "1 %", "visitors": "rows / 10"}
        try:
            for rows in sizes:
                engines[rows], closed = filled(Path(folder) / str(rows), ((rows, DAYS, 0),))
                facts[f"closing, {rows / 1_000_000:g} M rows"] = (
                    f"{closed.cpu_s / rows * 1_000_000:.2f} us of CPU a row; {closed.share:.0%} of event_log on disk"
                )
            own_rows = SMALL_ROWS if options.miniature else MONTH_ROWS
            for months in HISTORIES[:most]:
                each = tuple((own_rows, MONTH_DAYS, before) for before in range(months))
                engines[-months], _ = filled(Path(folder) / f"history-{months}", each)
            histories = {-key: engine for key, engine in engines.items() if key < 0}
            yield Bench(
                title="The analysts' views, each against its columns scanned and grouped by visitor",
                contestants=[
                    one
                    for rows, engine in engines.items()
                    if rows > 0
                    for one in _contestants(engine, rows, SMALL_VIEWS if options.miniature else tuple(VIEWS))
                ]
                + [one for months, engine in histories.items() for one in _with_history(engine, months)],
                facts=facts,
            )
        finally:
            for engine in engines.values():
                engine.close()


def _with_history(engine: Engine, months: int) -> Iterator[Contestant]:
    """Yield questions about one month, of a table with `months` months of history."""

    def measured(sql: str) -> Callable[[], Figures]:
        def round_() -> Figures:
            cost = engine.run(f"{sql} FORMAT Null")
            return {"cpu_s": cost.cpu_s, "wall_s": cost.wall_s, "peak_mb": cost.peak_mb}

        return round_

    for name, sql in MONTH.items():
        yield Contestant(f"{name}, one month of {months}", measured(sql))


def _contestants(engine: Engine, rows: int, views: Sequence[str]) -> Iterator[Contestant]:
    size = f"{rows / 1_000_000:g} M rows"
    spent: dict[str, float] = {}

    def measured(name: str, sql: str, read: str = "") -> Callable[[], Figures]:
        def round_() -> Figures:
            cost = engine.run(f"{sql} FORMAT Null")
            spent[name] = cost.cpu_s  # floors go first in every round
            return {
                "cpu_s": cost.cpu_s,
                "wall_s": cost.wall_s,
                "peak_mb": cost.peak_mb,
                "cpu_us_per_row": cost.cpu_s / rows * 1_000_000,
                **({"cpu_to_columns_read": cost.cpu_s / spent[read]} if read in spent else {}),
            }

        return round_

    floors = dict.fromkeys(VIEWS[name][0] for name in views if VIEWS[name][0])
    for floor in [*floors, *(READ[floor] for floor in floors if floor in READ)]:
        yield Contestant(f"{floor}, {size}", measured(floor, FLOORS[floor]))
    for name in views:
        floor, view = VIEWS[name]
        sql = f"SELECT * FROM {view}"  # noqa: S608
        against = f"{floor}, {size}" if floor else ""
        yield Contestant(f"{name}, {size}", measured(name, sql, READ.get(floor, "")), floor=against)
