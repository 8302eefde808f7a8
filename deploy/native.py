"""Compile a hit's way through collector and enricher to C with mypyc: `python -m deploy.native FOLDER`.

FOLDER gets a copy of the packages, to be run in place of these (`cd FOLDER; python -m collector`). The code is
the same, and so is what it does; it costs a sixth (collector) to a third (enricher) less CPU a hit. Needs a C compiler,
the interpreter's headers and mypy; the result needs none of them, but the very version of Python that built it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

from stage import version

PACKAGES: Final = ("stage", "collector", "enricher", "sink")
COMPILED: Final = {
    "stage": ("record_batch",),
    "collector": (
        "contract/fields", "contract/urls",
        "http/answer", "http/connection", "http/fast_path", "http/framing", "http/header_block", "http/outbox",
        "policy/client", "policy/client_address", "policy/consent", "policy/cookies", "policy/cors",
        "policy/events_body", "policy/ids", "policy/links", "policy/outcome", "policy/percent", "policy/query",
        "policy/refused_hits", "policy/verdict",
        "kafka/record_batch", "kafka/unsent_buffer",
        "spool/acknowledged", "spool/block", "spool/disk", "spool/group_commit", "spool/inventory", "spool/reader",
        "spool/segment", "spool/spool", "spool/writer",
    ),
    "enricher": (
        "row/encode", "row/enrich",
        "rules/bots", "rules/cache", "rules/campaign", "rules/event_id", "rules/language",
        "rules/own_hosts", "rules/redaction", "rules/referrer", "rules/registrable_domain", "rules/sent_fields",
        "rules/url", "rules/user_agent",
        "stream/chunk", "stream/column_fetch", "stream/record_batch",
    ),
}  # fmt: skip
"""The modules that a hit passes."""
HOT: Final = (
    "collector.http.connection", "collector.kafka.record_batch",
    "enricher.stream.chunk", "enricher.stream.column_fetch", "enricher.stream.record_batch",
)  # fmt: skip
"""The modules that a hit enters first: what they import, directly or not, is compiled or in INTERPRETED."""
INTERPRETED: Final = {
    "collector.contract": "msgspec structs, whose code is C, and tables",
    "collector.http.aiohttp_bridge": "calls aiohttp, which is interpreted",
    "collector.http.ingest": "one call per request that leaves the fast path",
    "collector.http.pixel": "data",
    "collector.http.request_id": "one call per request with such a header",
    "collector.http.target": "one call per request that leaves the fast path",
    "collector.metrics": "dictionaries of counters, read once a second",
    "collector.policy.link_file": "read once per file",
    "collector.policy.paths": "read once at the start",
    "collector.policy.refusal": "an enumeration",
    "collector.policy.ruleset": "read once per file",
    "collector.policy.sent_event": "msgspec structs, whose code is C",
    "collector.policy.sites": "read once per file",
    "collector.spool.quarantine": "damage only",
    "enricher.contract": "msgspec structs, whose code is C",
    "enricher.rules.channel": "remembered per campaign and referrer",
    "enricher.rules.geo": "remembered per address",
    "enricher.rules.json_body": "msgspec structs, whose code is C",
    "enricher.rules.mail": "remembered per user agent",
    "stage.aiokafka_internals": "one call per batch",
    "stage.log": "bounded lines",
}
"""Modules, or folders, on the way of a hit that stay interpreted, each with the reason."""

_HERE: Final = Path(__file__).resolve().parent.parent


class Impossible(Exception):
    """Nothing was compiled; the message says what is missing and how to get it."""


def compiler() -> str:
    """Return the C compiler's path.

    Raises:
        Impossible: there is no compiler, or Python's headers are not there.
    """
    name = os.environ.get("CC", "gcc")
    path = shutil.which(name)
    if path is None:
        raise Impossible(f"no C compiler {name} (apt-get install gcc libc6-dev)")
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    if not headers.exists():
        raise Impossible(f"Python's headers are not installed: no {headers} (apt-get install python3-dev)")
    return path


def build(folder: Path) -> list[Path]:
    """Copy the packages into a folder that is not there yet, or empty; compile there. Return what was compiled.

    Raises:
        Impossible: a tool is missing, or the compilation failed.
        OSError: the folder cannot be written, or has something in it.
    """
    compiler()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")
    for package in PACKAGES:
        shutil.copytree(_HERE / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    # `make check` checks the types; pyproject.toml in this folder would make setuptools look for our packaging.
    (folder / "mypy.ini").write_text("[mypy]\nignore_missing_imports = True\nexplicit_package_bases = True\n")
    sources = [f"{package}/{name}.py" for package, names in COMPILED.items() for name in names]
    told = subprocess.run(  # noqa: S603 (our own arguments)
        [sys.executable, "-m", "mypyc", *sources],
        cwd=folder,
        env={**os.environ, "MYPYC_OPT_LEVEL": "3", "MYPYC_DEBUG_LEVEL": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    compiled = sorted(folder.rglob(f"*{sysconfig.get_config_var('EXT_SUFFIX')}"))
    compiled = [path for path in compiled if "build" not in path.relative_to(folder).parts]
    if told.returncode or len(compiled) < len(sources):
        raise Impossible(f"mypyc failed:\n{(told.stdout + told.stderr)[-4000:]}")
    for made in (folder / "build", folder / ".mypy_cache"):
        shutil.rmtree(made, ignore_errors=True)
    (folder / "mypy.ini").unlink()
    return compiled


def main(argv: list[str]) -> int:
    """Run the command; return the exit code: 0, or 1 where nothing could be compiled."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.native",
        description="Compile the hot path of the collector and the enricher to C with mypyc.",
    )
    version.add_option(parser)
    parser.add_argument("folder", type=Path, help="new or empty folder for the compiled packages")
    given = parser.parse_args(argv)
    try:
        compiled = build(given.folder)
    except (Impossible, OSError) as problem:
        print(problem, file=sys.stderr)
        return 1
    for path in compiled:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
