"""User agents as a site meets them: a few very common ones, a Zipf tail of thousands, and some never seen before.

Pure and seeded. The shares and templates are data, in `user_agents.toml`.
"""

import itertools
import random
import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

DISTINCT: Final = 20_000
UNSEEN: Final = 0.05
"""Share of hits whose user agent has not been seen before: what a cache can never hold."""
HEAD: Final = 0.85
"""Share of the seen hits that the common browsers take; the tail shares the rest by Zipf's law."""

_FIELD = re.compile(r"\{([a-z_]+)\}")


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "user_agents.toml").read_text())


def _newest_first(rng: random.Random, values: Sequence[object]) -> str:
    return str(values[min(int(rng.expovariate(0.6)), len(values) - 1)])


def _fill(template: str, rng: random.Random) -> str:
    """Return the template with every field drawn; `{ios_}` and `{ios}` draw one version, written in two ways."""
    fields = _data()["fields"]
    ios = _newest_first(rng, fields["ios"])

    def draw(match: re.Match[str]) -> str:
        name = match[1]
        match name:
            case "ios":
                return ios
            case "ios_":
                return ios.replace(".", "_")
            case "model":
                return str(rng.choice(fields["models"]))
            case "code":
                return f"{rng.choice('ABCDEKLMRSTVXZ')}{rng.choice('AEHKMPQX')}-{rng.randrange(100, 9999)}"
            case "release":
                return f"{rng.choice('RSTU')}P1A.{rng.randrange(200_000, 250_000)}.{rng.randrange(1, 30):03}"
            case "build":
                return str(rng.randrange(4_000, 7_800))
            case "patch":
                return str(rng.randrange(10, 260))
            case "app":
                return str(rng.randrange(300, 560))
            case "phone":
                return f"{rng.randrange(11, 19)},{rng.randrange(1, 6)}"
            case _:
                return drawn[name]

    drawn = {name: _newest_first(rng, fields[name]) for name in ("chrome", "firefox", "opera", "samsung", "android")}
    return _FIELD.sub(draw, template)


@cache
def distinct(seed: int, count: int) -> tuple[str, ...]:
    """Return `count` different user agents of browsers: the common ones first, then the tail, in a fixed order."""
    rng = random.Random(f"user agents {seed}")
    browsers = _data()["browser"]
    templates = [browser["template"] for browser in browsers]
    weights = [browser["share"] for browser in browsers]
    tail_only = [browser for browser in browsers if "{build}" in browser["template"] or "{app}" in browser["template"]]
    found: dict[str, None] = {}
    while len(found) < min(count, 60):
        found[_fill(rng.choices(templates, weights)[0], rng)] = None
    while len(found) < count:
        template = rng.choices(tail_only, [browser["share"] for browser in tail_only])[0]["template"]
        found[_fill(template, rng)] = None
    return tuple(found)


def stream(seed: int, *, count: int = DISTINCT, unseen: float = UNSEEN) -> Iterator[str]:
    """Yield user agents without end: of `count` known ones by share and Zipf's law, `unseen` of them brand new."""
    rng = random.Random(f"stream {seed}")
    browsers = _data()["browser"]
    templates, shares = [b["template"] for b in browsers], list(itertools.accumulate(b["share"] for b in browsers))
    known = distinct(seed, count)
    zipf = list(itertools.accumulate(1 / rank for rank in range(1, len(known) + 1)))
    common = frozenset(known[:60])
    # Templates with few combinations give known strings again and again: drawn by share, kept where known, they are
    # the head with its true proportions.
    fixed = [_fill(template, rng) for template in rng.choices(templates, cum_weights=shares, k=4_000)]
    head = [agent for agent in fixed if agent in common] or list(known[:1])
    for serial in itertools.count():
        dice = rng.random()
        if dice < unseen:
            yield f"{_fill(rng.choice(templates), rng)} Unseen/{seed}.{serial}"
        elif dice < unseen + (1 - unseen) * HEAD:
            yield rng.choice(head)
        else:
            yield rng.choices(known, cum_weights=zipf)[0]


def client_hints(agent: str) -> tuple[str, str, str]:
    """Return the client hints of a browser: `Sec-CH-UA`, `-Mobile`, `-Platform`; empty where it sends none.

    Chromium alone sends them, and not from within an Android app.
    """
    if "Chrome/1" not in agent or "; wv" in agent:
        return "", "", ""
    version = agent.partition("Chrome/")[2].partition(".")[0]
    system = "Android" if "Android" in agent else "Windows" if "Windows" in agent else "macOS"
    brands = f'"Chromium";v="{version}", "Google Chrome";v="{version}", "Not_A Brand";v="99"'
    return brands, "?1" if "Mobile" in agent else "?0", f'"{system}"'


def weighted(table: str, seed: int) -> Iterator[str]:
    """Yield without end from the table `mail` or `bots`, by weight."""
    rng = random.Random(f"{table} {seed}")
    entries = _data()[table]
    weights = list(itertools.accumulate(entries.values()))
    while True:
        yield from rng.choices(list(entries), cum_weights=weights, k=256)
