"""The blocks of docs/recipes.md, with the addresses of a test in place of the page's."""

import re
from pathlib import Path
from typing import Final

from tests.collector.surface import TOKEN
from tests.tag.servers import Servers

_TEXT: Final = (Path(__file__).parents[2] / "docs/recipes.md").read_text()


def recipe(title: str, site: Servers, *, browser: bool = True) -> str:
    """Return the one block below a title. Only browsers (and curl) find a host below `localhost`."""
    section = next(part for part in _TEXT.split("\n## ") if part.startswith(title))
    (block,) = re.findall(r"^```\w+\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert "px.example.com" in block
    base = site.collector if browser else site.collector.replace("px.shop.localhost", "127.0.0.1")
    return str(block).replace("https://px.example.com", base).replace('token="..."', f'token="{TOKEN}"')
