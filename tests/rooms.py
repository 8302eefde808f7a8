"""`python -m tests.rooms`: print which room of our packages imports which. tests/test_arrows.py has the rules.

A room is a folder of modules. A module directly in a package's folder (`collector/settings.py`) is a room of its own,
except in the sink, whose folder is one room, and in the load test.
"""

import ast
import functools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("stage", "collector", "enricher", "sink", "loadtest", "deploy")
FLAT = {"sink", "stage", "loadtest", "deploy"}
"""Packages whose own folder is one room."""


@functools.cache
def modules() -> dict[str, Path]:
    """Return our modules by name with dots, without the tests."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room(module: str) -> str:
    """Return the room of a module."""
    path = modules().get(module)
    if path is None or path.name == "__init__.py":
        return module
    folder = module.rpartition(".")[0]
    own = folder in PACKAGES and folder not in FLAT
    return module if own or (module.endswith("__main__") and folder in PACKAGES) else folder


@functools.cache
def tree(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(path.read_text())


def names_imported(source: ast.Module) -> Iterator[str]:
    """Yield each imported module or name, with dots; a relative import is "."."""
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" if node.level == 0 else "." for alias in node.names)


def imports(module: str) -> set[str]:
    """Return the modules of ours that a module imports, inside functions and for type checks too."""
    known = modules()
    found = set()
    for name in names_imported(tree(known[module])):
        target = name if name in known else name.rpartition(".")[0]
        if target in known:
            found.add(target)
    return found - {module}


def graph() -> dict[str, dict[str, int]]:
    """Return room -> room that it imports -> number of imports."""
    found: dict[str, dict[str, int]] = {}
    for module in modules():
        targets = found.setdefault(room(module), defaultdict(int))
        for target in imports(module):
            if room(target) != room(module):
                targets[room(target)] += 1
    return found


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Return the sets of more than one room (strongly connected components) that import each other."""
    order: list[str] = []
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    found: list[list[str]] = []

    def visit(one: str) -> None:
        index[one] = low[one] = len(index)
        order.append(one)
        for other in sorted(arrows.get(one, ())):
            if other not in index:
                visit(other)
                low[one] = min(low[one], low[other])
            elif other in order:
                low[one] = min(low[one], index[other])
        if low[one] == index[one]:
            circle = order[order.index(one) :]
            del order[order.index(one) :]
            if len(circle) > 1:
                found.append(sorted(circle))

    for one in sorted(arrows):
        if one not in index:
            visit(one)
    return found


def show() -> str:
    """Return the graph as text: a line per room, with its number of modules and the rooms that it imports."""
    sizes: dict[str, int] = defaultdict(int)
    for module, path in modules().items():
        if path.name != "__init__.py":
            sizes[room(module)] += 1
    lines = []
    for one, targets in sorted(graph().items()):
        if sizes[one] or targets:
            arrows = ", ".join(f"{target} ({count})" for target, count in sorted(targets.items())) or "-"
            lines.append(f"{one:24} {sizes[one]:3}  {arrows}")
    return "\n".join(["room                 modules  imports", *lines])


if __name__ == "__main__":
    print(show())
