"""What deploy/compose.small.yaml sets, read from the file itself: the benchmark measures no other settings."""

import re
from pathlib import Path
from typing import Final

DEPLOY: Final = Path(__file__).parents[3] / "deploy"
_SETTING: Final = re.compile(r'([A-Z_]+): "?([^,}"]+)"?')


def settings(service: str) -> dict[str, str]:
    """Return the environment that the file adds to a service."""
    text = (DEPLOY / "compose.small.yaml").read_text()
    block = re.search(rf"^  {service}:\n((?:    .*\n)+)", text, re.MULTILINE)
    line = re.search(r"^    environment: \{(.*)\}$", block[1], re.MULTILINE) if block else None
    return dict(_SETTING.findall(line[1])) if line else {}
