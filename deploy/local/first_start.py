"""What `make run` makes for itself at the first start, in its folder: keys, a token, sites and links to try."""

import os
import re
import secrets
from hashlib import sha256
from pathlib import Path
from string import Template
from typing import Final

LINK_KEY: Final = "link_key"
"""The key that signs links."""
TOKEN: Final = "token"  # noqa: S105 - a file's name
"""A token for `/v1/events`, for every site of SITES as it was made."""
SITES: Final = "sites.toml"
LINKS: Final = "links.toml"
_TEMPLATE: Final = Path(__file__).with_name("sites.toml")
_PAGE: Final = "localhost:8088"
"""The demo page's usual address, in the template."""
_LINKS: Final = Template("""\
# Named links, /c/CODE. `python -m collector link add` adds one; the collector reads this file when it changes.

[links.video]
site = "demo"
to = "$page/"
source = "youtube"
medium = "video"
campaign = "launch"

# Of `make load`.
[links.load-test]
site = "load"
to = "$page/landing"
""")
_TABLE: Final = re.compile(r"^\[sites\.[a-z0-9_.-]+\]$", re.MULTILINE)


def make_key(folder: Path) -> None:
    """Make the key of links, unless there is one; links from before a restart stay valid."""
    _write_new(folder / LINK_KEY, secrets.token_hex(32) + "\n", 0o600)


def make_files(folder: Path, page: str) -> None:
    """Make token, sites and links, unless there are any; `page` is the demo page's URL."""
    if not (folder / SITES).exists():
        token = secrets.token_hex(32)
        digest = sha256(token.encode()).hexdigest()
        text = _TEMPLATE.read_text(encoding="utf-8").replace(_PAGE, page.partition("//")[2])
        text = _TABLE.sub(lambda table: f'{table[0]}\ntokens = ["{digest}"]  # its token is in the file "token"', text)
        (folder / TOKEN).unlink(missing_ok=True)
        _write_new(folder / TOKEN, token + "\n", 0o600)
        _write_new(folder / SITES, text, 0o644)
    _write_new(folder / LINKS, _LINKS.substitute(page=page), 0o644)


def _write_new(path: Path, text: str, mode: int) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return
    with os.fdopen(file, "w", encoding="utf-8") as opened:
        opened.write(text)
