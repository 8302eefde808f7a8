"""Google Ads: the tables that its scheduled upload reads, for accounts without the Data Manager API.

Source: Google Ads Help, "Import conversions from clicks" and "Adjust your conversions", templates for order ids.
"""

import csv
from collections.abc import Iterable
from datetime import UTC, datetime
from io import StringIO
from typing import Final, Literal

from sink.forward.platforms.platform import Conversion

Table = Literal["conversions", "adjustments"]

_CONVERSIONS: Final = (
    "Google Click ID",
    "Conversion Name",
    "Conversion Time",
    "Conversion Value",
    "Conversion Currency",
    "Order ID",
)
_ADJUSTMENTS: Final = (
    "Order ID",
    "Conversion Name",
    "Adjustment Time",
    "Adjustment Type",
    "Adjusted Value",
    "Adjusted Value Currency",
)


def table(conversions: Iterable[Conversion], which: Table, *, head: bool = True) -> str:
    """Return the file's text: conversions with a `gclid`, or the refunds of orders as adjustments."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if head:
        writer.writerow(["Parameters:TimeZone=+0000"])
        writer.writerow(_CONVERSIONS if which == "conversions" else _ADJUSTMENTS)
    for one in conversions:
        click = one.click_id("gclid")
        if which == "conversions" and not one.is_refund and click:
            moment, value, order = _time(one.occurred_ms), f"{one.value:f}", _cell(one.order_id)
            writer.writerow([_cell(click.value), _cell(one.action), moment, value, one.currency, order])
        elif which == "adjustments" and one.order is not None:
            kind, left = ("RESTATE", f"{one.order.remaining:f}") if one.order.remaining else ("RETRACT", "")
            currency = one.order.currency if left else ""
            writer.writerow([_cell(one.order_id), _cell(one.action), _time(one.occurred_ms), kind, left, currency])
    return out.getvalue()


def _cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _time(moment_ms: int) -> str:
    return f"{datetime.fromtimestamp(moment_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}+0000"
