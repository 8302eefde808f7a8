"""The arrows of docs/code.md: which room may import which, and what a pure module may use.

Long, because it is a list: the arrows.
"""

import ast
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import rooms

MOST_ROOMS = 12
MOST_MODULES = 20
MODULES = {"sink": 24}
"""Folders that may have more modules."""

CONTRACTS = {"collector.contract", "enricher.contract"}
ALLOWED: dict[str, set[str]] = {
    "stage": set(),
    "collector.contract": set(),
    "collector.metrics": set(),
    "collector.settings": {"collector.policy"},
    "collector.spool": {"collector.contract", "collector.metrics"},
    "collector.policy": {"collector.contract"},
    "collector.kafka": {"collector.contract", "collector.spool", "collector.metrics"},
    "collector.http": {"collector.contract", "collector.policy", "collector.spool", "collector.metrics"},
    "collector.process": {
        "collector.contract",
        "collector.policy",
        "collector.spool",
        "collector.kafka",
        "collector.http",
        "collector.metrics",
        "collector.settings",
    },
    "collector.commands": {
        "collector.contract",
        "collector.policy",
        "collector.spool",
        "collector.kafka",
        "collector.http",
        "collector.process",
        "collector.metrics",
        "collector.settings",
    },
    "collector.__main__": {"collector.commands", "collector.process", "collector.settings"},
    "enricher.contract": set(),
    "enricher.settings": set(),
    "enricher.backlog": set(),
    "enricher.metrics": {"enricher.contract", "enricher.backlog"},
    "enricher.rules": {"collector.contract", "enricher.contract"},
    "enricher.row": {"collector.contract", "enricher.contract", "enricher.rules"},
    "enricher.mmdb": {"enricher.rules"},
    "enricher.sites_file": {"enricher.rules"},
    "enricher.tables": {"enricher.mmdb", "enricher.sites_file", "enricher.row", "enricher.rules"},
    "enricher.stream": {
        "collector.contract",
        "enricher.contract",
        "enricher.rules",
        "enricher.row",
        "enricher.metrics",
        "enricher.settings",
    },
    "enricher.commands": {
        "collector.contract",
        "enricher.contract",
        "enricher.rules",
        "enricher.row",
        "enricher.stream",
        "enricher.metrics",
        "enricher.settings",
    },
    "enricher.__main__": {
        "enricher.commands",
        "enricher.stream",
        "enricher.row",
        "enricher.rules",
        "enricher.mmdb",
        "enricher.sites_file",
        "enricher.tables",
        "enricher.metrics",
        "enricher.settings",
    },
    "sink": {"enricher.contract", "sink.schema"},
    "sink.commands": {"enricher.contract", "sink"},
    "sink.forward": {"sink", "sink.forward.platforms"},
    "sink.forward.platforms": set(),
    "sink.__main__": {"sink", "sink.commands", "sink.forward"},
    "loadtest.traffic": CONTRACTS,
    "loadtest.drive": CONTRACTS | {"loadtest.traffic"},
    "loadtest.check": CONTRACTS | {"loadtest.traffic", "loadtest.drive"},
    "loadtest.report": CONTRACTS | {"loadtest.traffic", "loadtest.drive", "loadtest.check"},
    "loadtest.bench": CONTRACTS | {"loadtest.traffic", "loadtest.drive", "loadtest.check", "loadtest.report"},
    "loadtest.bench.host": CONTRACTS | {"loadtest.bench", "loadtest.check"},
    "loadtest.bench.sql": CONTRACTS | {"loadtest.bench", "loadtest.check"},
    "loadtest": CONTRACTS | {"loadtest.traffic", "loadtest.drive", "loadtest.check", "loadtest.report"},
    "loadtest.__main__": {"loadtest", "loadtest.traffic", "loadtest.drive", "loadtest.check", "loadtest.report"},
    "sink.schema": set(),
    "deploy": CONTRACTS,
    "deploy.grafana": CONTRACTS,
    "deploy.local": CONTRACTS | {"deploy", "deploy.local.clickhouse"},
    "deploy.local.clickhouse": CONTRACTS,
    "deploy.report": CONTRACTS,
}
"""Room -> the other rooms that it may import. Every room may also import `stage`."""

PURE_ROOMS = (
    "collector.contract",
    "collector.policy",
    "enricher.contract",
    "enricher.rules",
    "enricher.row",
    "sink.forward.platforms",
)
PURE_MODULES = (
    "stage.gap",
    "collector.spool.block",
    "collector.spool.segment",
    "sink.protocol",
    "sink.batch",
    "sink.freshness",
    "sink.commands.cost_tables",
    "sink.forward.audience_files",
    "sink.forward.brake",
    "sink.forward.config",
    "sink.forward.gate",
    "sink.forward.pending",
)
PURE_IMPORTS = {
    "abc", "array", "base64", "binascii", "bisect", "codecs", "collections", "csv", "dataclasses", "datetime",
    "decimal", "enum", "functools", "hashlib", "hmac", "html", "io.StringIO", "ipaddress", "itertools", "json", "math",
    "operator", "re", "string", "struct", "tomllib", "types", "typing", "unicodedata", "urllib.parse", "uuid", "zlib",
    "zoneinfo",
    "socket.AF_INET", "socket.AF_INET6", "socket.inet_ntop", "socket.inet_pton",
    "cramjam", "idna", "librt.strings", "msgspec", "multidict", "mypy_extensions", "orjson", "publicsuffixlist",
    "ua_parser", "ua_parser_rs",
}  # fmt: skip
"""Modules and names of others that read and write nothing but their arguments, except for IMPURE_CALLS."""
IMPURE_CALLS = {
    "open", "print", "input", "eval", "exec", "__import__", "breakpoint", "read_text", "read_bytes", "write_text",
    "write_bytes", "now", "utcnow", "today", "fromtimestamp", "file_digest", "uuid1", "uuid4",
}  # fmt: skip
"""Functions and methods that read or write files, read the clock or this host's time zone, or draw at random."""

AIOKAFKA = "stage.aiokafka_internals"
DOCUMENTED = {"aiokafka", "aiokafka.abc", "aiokafka.admin", "aiokafka.errors", "aiokafka.structs"}
"""Modules of aiokafka that its documentation describes."""

KNOWN: set[str] = set()
"""Violations of today. A new one fails the test; so does one that is gone and still listed. Meant to be empty."""


def is_pure(module: str) -> bool:
    """Return whether a module, or a name in a module, is pure by its place."""
    return any(module == one or module.startswith(f"{one}.") for one in (*PURE_ROOMS, *PURE_MODULES))


def wrong_imports(module: str, names: set[str]) -> list[str]:
    """Return the modules of ours in `names` that a module must not import."""
    own = rooms.room(module)
    allowed = ALLOWED.get(own, set()) | {own, "stage"}
    if own == "stage":
        allowed = {"stage"}
    return sorted(name for name in names if rooms.room(name) not in allowed)


def impurities(source: ast.Module) -> list[str]:
    """Return the imports and calls in a module that are not pure."""
    found = []
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                utc = called == "fromtimestamp" and len(node.args) + len(node.keywords) > 1
                if called in IMPURE_CALLS and not utc:
                    found.append(f"calls {called}")
            continue
        for name in names:
            if name.split(".")[0] in rooms.PACKAGES:
                if not is_pure(name):
                    found.append(f"imports {name}")
            elif not any(name == pure or name.startswith(f"{pure}.") for pure in PURE_IMPORTS):
                found.append(f"imports {name}")
    return sorted(set(found))


def undocumented(source: ast.Module) -> list[str]:
    """Return what a module uses of aiokafka beyond its documentation."""
    names = list(rooms.names_imported(source))
    if not any(name.split(".")[0] == "aiokafka" for name in names):
        return []
    found = []
    for node in ast.walk(source):
        if isinstance(node, ast.Import | ast.ImportFrom):
            used = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)]
            found += [f"imports {one}" for one in used if one.split(".")[0] == "aiokafka" and one not in DOCUMENTED]
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            own = isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
            theirs = node.attr in {"_client", "_coordinator", "_fetcher", "_sender", "_subscription"}
            if (theirs or not own) and node.attr not in {"_replace", "_asdict", "_make", "_fields"}:
                found.append(f"uses {node.attr}")
    return sorted(set(found))


def waits(source: ast.Module) -> list[str]:
    """Return the uses of asyncio.wait_for. Python 3.11's can swallow a cancellation (cpython#86296)."""
    return ["wait_for"] if any(isinstance(n, ast.Attribute) and n.attr == "wait_for" for n in ast.walk(source)) else []


def violations() -> set[str]:
    found = set()
    for module, path in rooms.modules().items():
        tree = rooms.tree(path)
        wrong = [f"imports {name}" for name in wrong_imports(module, rooms.imports(module))]
        wrong += ["imports by a dot"] if "." in set(rooms.names_imported(tree)) else []
        wrong += ["imports the tests"] if any(n.split(".")[0] == "tests" for n in rooms.names_imported(tree)) else []
        wrong += impurities(tree) if is_pure(module) else []
        wrong += undocumented(tree) if module != AIOKAFKA else []
        wrong += waits(tree)
        found |= {f"{module} {one}" for one in wrong}
    return found


def test_every_module_keeps_to_its_room() -> None:
    found = violations()
    assert found - KNOWN == set(), "new violations"
    assert KNOWN - found == set(), "no longer violations: take them off the list"


def test_every_room_is_known() -> None:
    known = set(ALLOWED) | set(rooms.PACKAGES)
    assert {room for room in rooms.graph() if room in rooms.modules() or "." in room} - known == set()


def test_no_circle_of_rooms() -> None:
    arrows: dict[str, set[str]] = {}
    for module in rooms.modules():
        targets = [name for name in rooms.imports(module) if f"{module} imports {name}" not in KNOWN]
        arrows.setdefault(rooms.room(module), set()).update(map(rooms.room, targets))
    assert rooms.circles(arrows) == []


def test_the_rules_themselves_have_no_circle() -> None:
    assert rooms.circles(ALLOWED) == []


def test_no_folder_is_crowded() -> None:
    paths = [*rooms.modules().values(), *(rooms.ROOT / "tests").rglob("*.py")]
    sizes = Counter(path.parent.relative_to(rooms.ROOT).as_posix() for path in paths if path.name != "__init__.py")
    assert {name: size for name, size in sizes.items() if size > MODULES.get(name, MOST_MODULES)} == {}
    folders = Counter(name.partition("/")[0] for name in sizes if "/" in name)
    assert {name: count for name, count in folders.items() if count > MOST_ROOMS and name != "tests"} == {}


def test_a_long_module_says_why() -> None:
    paths = [*rooms.modules().values(), *(rooms.ROOT / "tests").rglob("*.py")]
    texts = {path: path.read_text() for path in paths}
    most = {path: 300 if path.is_relative_to(rooms.ROOT / "tests") else 250 for path in paths}
    long = [path for path, text in texts.items() if text.count("\n") > most[path]]
    assert long
    reasons = ("Long", "Over 250 lines")
    assert [path for path in long if not any(why in texts[path].split('"""')[1] for why in reasons)] == []


@pytest.mark.parametrize(
    ("module", "imported", "allowed"),
    [
        ("collector.spool.writer", "collector.http.ingest", False),
        ("collector.spool.writer", "collector.policy.consent", False),
        ("collector.policy.consent", "collector.spool.writer", False),
        ("collector.http.connection", "collector.policy.consent", True),
        ("collector.http.connection", "collector.commands.link", False),
        ("collector.kafka.forwarder", "collector.http.connection", False),
        ("enricher.rules.url", "enricher.row.encode", False),
        ("enricher.stream.loop", "collector.policy.sites", False),
        ("enricher.stream.loop", "collector.contract", True),
        ("sink.batch", "collector.contract", False),
        ("sink.batch", "enricher.contract", True),
        ("sink.batch", "sink.commands.erase", False),
        ("sink.batch", "stage.log", True),
        ("stage.log", "sink.batch", False),
        ("loadtest.check.audit", "sink.batch", False),
    ],
)
def test_a_wrong_arrow_is_seen(module: str, imported: str, allowed: bool) -> None:
    assert (wrong_imports(module, {imported}) == []) == allowed


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("import os", ["imports os"]),
        ("from socket import inet_pton, socket", ["imports socket.socket"]),
        ("import os.path", ["imports os.path"]),
        ("from pathlib import Path", ["imports pathlib.Path"]),
        ("import asyncio", ["imports asyncio"]),
        ("from aiokafka.errors import KafkaError", ["imports aiokafka.errors.KafkaError"]),
        ("def f():\n    import time", ["imports time"]),
        ("from stage import log", ["imports stage.log"]),
        ("from collector.spool.writer import Writer", ["imports collector.spool.writer.Writer"]),
        ("open('x')", ["calls open"]),
        ("somewhere.read_text()", ["calls read_text"]),
        ("from datetime import UTC, datetime\ndatetime.now(UTC)", ["calls now"]),
        ("from datetime import date\ndate.today()", ["calls today"]),
        ("from datetime import datetime\ndatetime.fromtimestamp(0)", ["calls fromtimestamp"]),
        ("from datetime import UTC, datetime\ndatetime.fromtimestamp(0, UTC)", []),
        ("from urllib.parse import urlsplit", []),
        ("from urllib.request import urlopen", ["imports urllib.request.urlopen"]),
        ("import re, msgspec\nfrom collector.contract import Hit", []),
    ],
)
def test_an_impurity_is_seen(source: str, seen: list[str]) -> None:
    assert impurities(ast.parse(source)) == seen


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("from aiokafka import AIOKafkaConsumer\nconsumer._client.send", ["uses _client"]),
        ("from aiokafka import AIOKafkaConsumer\nself._coordinator", ["uses _coordinator"]),
        ("from aiokafka import AIOKafkaConsumer\nself._own", []),
        ("from aiokafka.record.util import calc_crc32c", ["imports aiokafka.record.util"]),
        ("from aiokafka.errors import KafkaError", []),
        ("other._name", []),
    ],
)
def test_a_use_of_aiokafka_beyond_its_documentation_is_seen(source: str, seen: list[str]) -> None:
    assert undocumented(ast.parse(source)) == seen


NODES = st.sampled_from("abcdef")


@given(st.dictionaries(NODES, st.sets(NODES)))
def test_circles_are_the_rooms_that_reach_each_other(arrows: dict[str, set[str]]) -> None:
    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        todo = list(arrows.get(start, ()))
        while todo:
            one = todo.pop()
            if one not in seen:
                seen.add(one)
                todo += arrows.get(one, ())
        return seen

    names = set(arrows).union(*arrows.values())
    together = {one: {other for other in names if other in reach(one) and one in reach(other)} for one in names}
    expected = {frozenset(group) for group in together.values() if len(group) > 1}
    assert {frozenset(circle) for circle in rooms.circles(arrows)} == expected
