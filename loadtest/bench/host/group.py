"""The control group in which this process runs: its limit of memory, and what it uses. Both versions of cgroups."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
OWN: Final = Path("/proc/self/cgroup")
_V1: Final = {"limit": "memory.limit_in_bytes", "used": "memory.usage_in_bytes", "programs": "total_rss"}
_V2: Final = {"limit": "memory.max", "used": "memory.current", "programs": "anon"}


def _place() -> tuple[Path, Mapping[str, str]]:
    text = OWN.read_text()
    if found := re.search(r"^\d+:(?:\w+,)*memory(?:,\w+)*:(.*)$", text, re.MULTILINE):
        return ROOT / "memory" / found[1].lstrip("/"), _V1
    found = re.search(r"^0::(.*)$", text, re.MULTILINE)
    return ROOT / (found[1].lstrip("/") if found else ""), _V2


def limit_mb() -> float:
    """Return the limit of memory, MiB; 0 if there is none below the machine's own."""
    folder, names = _place()
    try:
        text = (folder / names["limit"]).read_text().strip()
    except OSError:
        return 0.0
    return int(text) / 2**20 if text.isdigit() and int(text) < 2**60 else 0.0


def used_mb() -> dict[str, float]:
    """Return what the group uses, MiB: `group_mb` with cached files, `group_programs_mb` without; {} without limit."""
    if not limit_mb():
        return {}
    folder, names = _place()
    own = re.search(rf"^{names['programs']} (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)
    return {
        "group_mb": int((folder / names["used"]).read_text()) / 2**20,
        "group_programs_mb": int(own[1]) / 2**20 if own else 0.0,
    }
