"""Cost tables as ad managers export them, read into rows of `pharos.costs`.

Headers, separators, encodings, number and date forms differ by platform, language and the operator's settings; they are
recognised here, in the languages of COLUMNS. An ambiguous day, such as 03/04/2026, is an error that names the option.

Long, because it is a list: the columns' names in each language.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from io import StringIO
from typing import Final, Literal

import msgspec

Platform = Literal["meta", "google", "tiktok", "linkedin", "microsoft", "other"]
Dates = Literal["auto", "day-first", "month-first"]

SOURCES: Final[Mapping[Platform, tuple[str, str]]] = {
    "meta": ("facebook", "paid-social"),
    "google": ("google", "cpc"),
    "tiktok": ("tiktok", "cpc"),
    "linkedin": ("linkedin", "cpc"),
    "microsoft": ("bing", "cpc"),
    "other": ("", ""),
}
"""Source and medium that the visits of a platform's ads have, unless the ads' links say otherwise."""

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "day": (
        "day", "date", "reporting starts", "by day", "start date (in utc)", "start date", "gregorian date",
        "time period", "stat_time_day", "tag", "datum", "berichtsstart", "startdatum (in utc)", "jour", "día",
    ),
    "campaign": (
        "campaign", "campaign name", "campaign_name", "kampagne", "kampagnenname", "name der kampagne", "campagne",
        "nom de la campagne", "campaña", "nombre de la campaña",
    ),
    "cost": (
        "cost", "amount spent", "spend", "total spent", "total cost", "costs", "kosten", "ausgegebener betrag",
        "ausgaben", "gesamtausgaben", "coût", "montant dépensé", "coste", "importe gastado",
    ),
    "currency": (
        "currency", "currency code", "account currency", "währung", "währungscode", "devise", "code de devise",
        "moneda", "código de moneda",
    ),
    "clicks": (
        "link clicks", "clicks (destination)", "clicks", "clicks (all)", "klicks", "link-klicks", "klicks (alle)",
        "clics", "clics sur un lien", "clics en el enlace",
    ),
    "impressions": ("impressions", "impr.", "impressionen", "impr", "impresiones"),
}  # fmt: skip
"""Names of columns in lower case, without what is in brackets at the end if that is a currency; the best first."""

_CURRENCY_IN_NAME: Final = re.compile(r"\s*[(\[]([A-Za-z]{3})[)\]]\s*$")
_NEEDED: Final = ("day", "campaign", "cost")
_TOTAL: Final = re.compile(r"(total|gesamt|summe|overall)\b", re.IGNORECASE)
_DATE_FORMS: Final = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y")
_SLASHED: Final = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})")
_MAX_BYTES: Final = 256 << 20


class CostTableError(ValueError):
    """The table cannot be read; one line that names the place and the fix."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `pharos.costs`."""

    site: str
    day: date
    source: str
    medium: str
    campaign: str
    cost: Decimal
    currency: str
    clicks: int
    impressions: int


def text_of(content: bytes) -> str:
    """Return a file's text: UTF-8, UTF-16 with a mark at its begin, or Windows-1252.

    Raises:
        CostTableError: the file is too long or no table, such as an Excel file.
    """
    if len(content) > _MAX_BYTES:
        raise CostTableError(f"more than {_MAX_BYTES >> 20} MiB: export fewer days")
    if content[:2] == b"PK":
        raise CostTableError("an Excel file: export it as CSV")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def read(
    text: str,
    *,
    site: str,
    source: str,
    medium: str,
    currency: str = "",
    dates: Dates = "auto",
) -> list[Cost]:
    """Return the costs of a table, one row for each day, campaign (in lower case) and currency, in their order.

    Lines before the header, empty lines and totals are left out. `currency` is that of a table that names none.

    Raises:
        CostTableError: see there.
    """
    try:
        rows = list(csv.reader(StringIO(text, newline=None), delimiter=_separator(text)))
    except csv.Error as error:
        raise CostTableError(f"no table of text: {error}") from None
    start, places, named = _header(rows)
    dated = _Dates(dates, (row[places["day"]] for row in rows[start:] if len(row) > places["day"]))
    sums: dict[tuple[date, str, str], list[Decimal | int]] = defaultdict(lambda: [Decimal(0), 0, 0])
    for number, row in enumerate(rows[start:], start + 1):
        cells = {name: row[place].strip() for name, place in places.items() if place < len(row)}
        first = next((cell.strip() for cell in row if cell.strip()), "")
        if not cells.get("day") or not first:
            continue
        if _TOTAL.match(first) and not dated.is_day(cells["day"]):  # a campaign may be named "Total Body"
            continue
        try:
            own = (cells.get("currency") or named or currency).upper()
            if not re.fullmatch("[A-Z]{3}", own):
                raise CostTableError("no currency: give --currency, such as --currency EUR")  # noqa: TRY301
            key = (dated.read(cells["day"]), cells.get("campaign", "").lower(), own)
            found = sums[key]
            found[0] += number_of(cells.get("cost", ""))
            found[1] += count_of(cells.get("clicks", ""))
            found[2] += count_of(cells.get("impressions", ""))
        except CostTableError as error:
            raise CostTableError(f"line {number}: {error}") from None
    return [
        Cost(
            site=site,
            day=day,
            source=source,
            medium=medium,
            campaign=campaign,
            cost=Decimal(cost).quantize(Decimal("0.0001")),
            currency=own,
            clicks=int(clicks),
            impressions=int(impressions),
        )
        for (day, campaign, own), (cost, clicks, impressions) in sums.items()
    ]


def _separator(text: str) -> str:
    """Return the separator that the first lines have most of."""
    head = text[:20_000]
    return max(",;\t", key=head.count)


def _header(rows: Sequence[Sequence[str]]) -> tuple[int, dict[str, int], str]:
    """Return the first line after the header, the places of the columns, and the currency that a name has."""
    for number, row in enumerate(rows[:50]):
        names = [_CURRENCY_IN_NAME.sub("", cell).strip().lower() for cell in row]
        places = {
            column: min((names.index(each) for each in known if each in names), key=lambda at: _rank(known, names[at]))
            for column, known in COLUMNS.items()
            if any(each in names for each in known)
        }
        if all(column in places for column in _NEEDED):
            bracket = _CURRENCY_IN_NAME.search(row[places["cost"]])
            return number + 1, places, bracket[1] if bracket else ""
    raise CostTableError(
        "no line with the names of columns: the table needs day, campaign and cost, as the ad manager names them"
    )


def _rank(known: Sequence[str], name: str) -> int:
    return known.index(name)


class _Dates:
    """Reads days; whether 03/04 is in March or April must be clear from the table, or chosen."""

    def __init__(self, dates: Dates, cells: Iterable[str]) -> None:
        self._day_first: bool | None = {"day-first": True, "month-first": False}.get(dates)
        if dates == "auto":
            pairs = [(int(found[1]), int(found[2])) for cell in cells if (found := _SLASHED.fullmatch(cell.strip()))]
            if any(first > 12 for first, _ in pairs):
                self._day_first = True
            elif any(second > 12 for _, second in pairs):
                self._day_first = False

    def is_day(self, text: str) -> bool:
        """Return whether a cell has a day, clear or not."""
        try:
            return bool(_SLASHED.fullmatch(text) or self.read(text))
        except CostTableError:
            return False

    def read(self, text: str) -> date:
        if slashed := _SLASHED.fullmatch(text):
            if self._day_first is None:
                raise CostTableError(f"{text}: give --dates day-first or --dates month-first")
            day, month = (1, 2) if self._day_first else (2, 1)
            return self._made(int(slashed[3]), int(slashed[month]), int(slashed[day]), text)
        for form in _DATE_FORMS:
            try:
                return datetime.strptime(text[: 10 if form == "%Y-%m-%d" else None], form).date()
            except ValueError:
                continue
        raise CostTableError(f"{text[:40]!r} is no day")

    @staticmethod
    def _made(year: int, month: int, day: int, text: str) -> date:
        try:
            return date(year, month, day)
        except ValueError:
            raise CostTableError(f"{text[:40]!r} is no day") from None


def count_of(text: str) -> int:
    """Return a whole number, with any marks between thousands; raises CostTableError."""
    return int(number_of(re.sub(r"[,.](?=\d{3}(?!\d))", "", text)))


def number_of(text: str) -> Decimal:
    """Return a number: 1,234.56 and 1.234,56 and 1 234,56; with a currency's sign; "--" and nothing are 0.

    Raises:
        CostTableError: no number.
    """
    kept = re.sub(r"[^\d,.\-]", "", text.replace("\N{MINUS SIGN}", "-"))
    if kept.strip("-") == "":
        if re.search(r"\d", text) or text.strip(" -\N{EN DASH}\N{EM DASH}"):
            raise CostTableError(f"{text[:40]!r} is no number")
        return Decimal(0)
    last = max(kept.rfind(","), kept.rfind("."))
    mark = kept[last] if last >= 0 else ""
    # The last mark is the decimal one, unless it occurs more than once, or is a lone comma before three digits.
    thousands = kept.count(mark) > 1 or (mark == "," and "." not in kept and len(kept) - last == 4) if mark else True
    whole = re.sub("[,.]", "", kept if thousands else kept[:last])
    plain = whole if thousands else f"{whole}.{kept[last + 1 :]}"
    try:
        number = Decimal(plain)
    except InvalidOperation:
        raise CostTableError(f"{text[:40]!r} is no number") from None
    if abs(number) >= 10**14:
        raise CostTableError(f"{text[:40]!r} is too large")
    return number
