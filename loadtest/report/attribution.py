"""The attribution models next to each other: what each channel brought, as a table and a chart."""

from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table

MODELS: Final = ("first", "last", "last_non_direct", "linear", "position", "time_decay")
COLUMNS: Final = (*MODELS, "markov", "shapley")
CHARTED: Final = ("first", "last", "markov")
_STYLES: Final = {"first": "cyan", "last": "magenta", "markov": "green"}
_SHORT: Final = {"last_non_direct": "known", "position": "pos.", "time_decay": "decay"}
_BAR: Final = 44
_WIDE: Final = 110
"""Columns from which a terminal shows cents."""


def by_channel(client: Any, site: str, since: datetime, until: datetime) -> dict[str, dict[str, float]]:
    """Return the value in EUR by channel and model, asked of the views as an analyst would."""
    given = (
        "site = {site:String}, conversion = 'purchase', lookback_days = 30, "
        "since = {since:String}, until = {until:String}, tz = 'UTC', restart = 0, touch_kinds = 'arrival,click', "
        "ignore = ''"
    )
    parameters = {"site": site, "since": f"{since:%Y-%m-%d %H:%M:%S}", "until": f"{until:%Y-%m-%d %H:%M:%S}"}
    views = {model: f"attribution({given}, model = '{model}', half_life_days = 7)" for model in MODELS}
    views |= {
        "markov": f"attribution_markov({given}, by = 'channel', max_names = 100)",
        "shapley": f"attribution_shapley({given}, by = 'channel')",
    }
    found: dict[str, dict[str, float]] = {}
    for model, view in views.items():
        name = "channel" if model in MODELS else "name"
        sql = f"SELECT {name}, sum(value) FROM pharos.{view} WHERE currency = 'EUR' GROUP BY {name}"  # noqa: S608
        for channel, value in client.query(sql, parameters=parameters).result_rows:
            found.setdefault(channel, {})[model] = value
    return found


def show(found: dict[str, dict[str, float]], console: Console) -> None:
    """Print the models side by side, and a chart of three of them."""
    if not found:
        console.print("No conversions with a value in EUR.")
        return
    channels = sorted(found, key=lambda channel: -found[channel].get("markov", 0))
    table = Table(
        title="Which channel brought the purchases (EUR, last 30 days)",
        title_justify="left",
        box=None,
        padding=(0, 0, 0, 1),  # eight models and a channel's name fit into 80 columns
    )
    table.add_column("channel", no_wrap=True)
    for model in COLUMNS:
        table.add_column(_SHORT.get(model, model), justify="right", no_wrap=True)
    digits = 2 if console.width >= _WIDE else 0
    for channel in channels:
        table.add_row(channel, *(f"{found[channel].get(model, 0):,.{digits}f}" for model in COLUMNS))
    table.add_section()
    table.add_row("all", *(f"{sum(row.get(model, 0) for row in found.values()):,.{digits}f}" for model in COLUMNS))
    console.print(table)
    greatest = max(value for row in found.values() for value in row.values()) or 1
    width = max(len(channel) for channel in channels)
    console.print("  ".join(f"[{_STYLES[model]}]█[/] {model}" for model in CHARTED))
    for channel in channels:
        for place, model in enumerate(CHARTED):
            value = found[channel].get(model, 0)
            bar = "█" * round(value / greatest * _BAR)
            name = channel if place == 0 else ""
            console.print(f"{name:{width}} [{_STYLES[model]}]{bar}[/] {value:,.0f}", highlight=False)
