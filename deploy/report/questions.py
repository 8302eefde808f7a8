"""The report's questions (questions/*.sql) with their values written in, exactly as the page writes them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "questions"
OPENING: Final = ("sites", "visits", "credits", "costs")
"""What the page asks before a reader scrolls, on a screen of 1280 x 800 pixels; the first two are all that its first
block needs to show numbers."""
SCROLLED: Final = ("letters", "visitors", "funnel", "cohorts", "health", "tagging")
"""What the other blocks ask, each when it comes into view."""
ABOUT_CONVERSION: Final = ("credits", "visitors")
ABOUT_STEPS: Final = ("funnel",)

_GOAL: Final = re.compile(r"(?:[^,\[]|\[[^\]]*\])+")
"""One goal of a text with commas between; `purchase[plan=pro, size=xl]` is one."""
_PLACE: Final = re.compile(r"\{(\w+)(?::(\w+))?\}")


def quoted(text: str) -> str:
    """Return a text as ClickHouse's literal."""
    return "'" + re.sub(r"[\\']", r"\\\g<0>", text) + "'"


def filled(name: str, values: Mapping[str, str]) -> str:
    """Return a question's SQL, without filters.

    Raises KeyError if a value is missing.
    """

    def value(found: re.Match[str]) -> str:
        if not found[2]:
            return ""
        return quoted(values[found[1]]) if found[2] == "String" else str(float(values[found[1]]))

    return _PLACE.sub(value, (FOLDER / f"{name}.sql").read_text(encoding="utf-8").strip())


def whole(values: Mapping[str, str]) -> list[str]:
    """Return the SQL of every question of the page; some need a conversion, or two steps of a funnel."""
    left_out = set[str]()
    if not values["conversion"]:
        left_out.update(ABOUT_CONVERSION)
    if len(_GOAL.findall(values["steps"])) < 2:
        left_out.update(ABOUT_STEPS)
    return [filled(name, values) for name in (*OPENING, *SCROLLED) if name not in left_out]
