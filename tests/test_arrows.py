"""The arrows of docs/code.md: which package may import which."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
STAGES = ("stage", "collector", "enricher", "sink", "deploy", "loadtest")
CONTRACTS = {"collector.contract", "enricher.contract"}
ALLOWED: dict[str, set[str]] = {
    "stage": set(),
    "collector": set(),
    "enricher": {"collector.contract"},
    "sink": {"enricher.contract"},
    "deploy": CONTRACTS,
    "loadtest": CONTRACTS,
}


def imported(source: str) -> Iterator[str]:
    """Yield each imported module or name, with dots; a relative import comes out as "."."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" if node.level == 0 else "." for alias in node.names)


def wrong_arrows(stage: str, source: str) -> list[str]:
    """Return the imports in `source` that a file of `stage` may not have."""
    wrong = []
    for name in imported(source):
        first = name.split(".")[0]
        if name == "." or (first in {"tests", *STAGES} and first != stage):
            contract = ".".join(name.split(".")[:2])
            if first != "stage" and contract not in ALLOWED[stage]:
                wrong.append(name)
    return wrong


def test_every_import_follows_the_arrows() -> None:
    files = [(stage, path) for stage in STAGES for path in (ROOT / stage).rglob("*.py")]
    assert len(files) > len(STAGES)
    crossed = {
        str(path.relative_to(ROOT)): wrong for stage, path in files if (wrong := wrong_arrows(stage, path.read_text()))
    }
    assert crossed == {}


def test_a_wrong_arrow_is_seen() -> None:
    assert wrong_arrows("collector", "import enricher.contract") == ["enricher.contract"]
    assert wrong_arrows("enricher", "from collector.policy.sites import Site") == ["collector.policy.sites.Site"]
    assert wrong_arrows("enricher", "from collector.contract import Hit") == []
    assert wrong_arrows("sink", "from collector import contract") == ["collector.contract"]
    assert wrong_arrows("sink", "from . import batch") == ["."]
    assert wrong_arrows("sink", "from stage import log") == []
    assert wrong_arrows("stage", "from sink import batch") == ["sink.batch"]
