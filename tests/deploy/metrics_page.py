"""docs/metrics.md from what each stage declares: `python -m tests.deploy.metrics_page`, with `--write` to renew it.

It stands with the tests because nothing else may import all three stages.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prometheus_client.metrics import MetricWrapperBase

import collector.metrics
import enricher.metrics
import sink.metrics

PAGE: Final = Path(__file__).parents[2] / "docs/metrics.md"

_HEAD: Final = """# Metrics

Made from each stage's `metrics.py` by `make fmt`; `make check` looks whether it is current.
Each stage serves `/metrics` on its own admin port (collector 9100, enricher 9101, sink 9102), never on the public one.
Of several collector workers the numbers are added up before they are served. Labels come from closed lists, `site` from
`sites.toml`, `partition` from the topic: nothing a visitor sends can make a new time series. Only the first 200 sites
of `sites.toml` have a label of their own, in its order; all others share `_other`. A site keeps its label until the
next start.

Alerts and recording rules built on these: `deploy/prometheus/`. What to do about an alert: docs/runbooks.md.
"""

_Row = tuple[str, str, Iterable[str], str]


def _of_collector() -> list[_Row]:
    rows: list[_Row] = []
    for name, declared in collector.metrics.METRICS.items():
        kind = "gauge" if declared.kind == "gauge_max" else declared.kind
        rows.append((collector.metrics.PREFIX + name, kind, declared.labels, declared.help))
    return rows


def _of(declared: Iterable[object]) -> list[_Row]:
    rows: list[_Row] = []
    for metric in declared:
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            # prometheus_client has no public way to the names of the labels.
            rows.append((name, family.type, metric._labelnames, family.documentation))
    return rows


def page() -> str:
    """Return the text of docs/metrics.md."""
    stages = {
        "Collector": _of_collector(),
        "Enricher": _of(vars(enricher.metrics.Metrics()).values()),
        "Sink": _of(vars(sink.metrics).values()),
    }
    parts = [_HEAD]
    for stage, rows in stages.items():
        parts += [
            f"\n## {stage}\n",
            "| metric | type | labels | says, and what to do when it moves |",
            "|---|---|---|---|",
        ]
        for name, kind, labels, text in rows:
            shown = ", ".join(f"`{label}`" for label in labels)
            parts.append(f"| `{name}` | {kind} | {shown} | {text.replace('|', chr(92) + '|')} |")
    return "\n".join(parts) + "\n"


def main(arguments: list[str]) -> int:
    """Write the page, or look whether it is current; 1 when it is not."""
    if arguments == ["--write"]:
        PAGE.write_text(page())
        return 0
    if PAGE.read_text() != page():
        print("docs/metrics.md is not current: python -m tests.deploy.metrics_page --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
