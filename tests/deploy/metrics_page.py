"""docs/metrics.md from what each stage declares: `python -m tests.deploy.metrics_page`, with `--write` to update it.

It is among the tests because no other package may import all three stages.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

import collector.metrics
import enricher.metrics
import sink.forward.metrics
import sink.metrics
from stage import version

PAGE: Final = Path(__file__).parents[2] / "docs/metrics.md"

_HEAD: Final = """# Metrics

`make fmt` generates this page from each stage's `metrics.py`; `make check` fails if it is not current.
Each stage serves `/metrics` on its own admin port, never on the public port: collector 9100, enricher 9101, sink 9102,
forwarder 9103.
The numbers of several collector workers are added up. Labels come from closed lists, `site` from `sites.toml`,
`partition` from the topic, `destination` from `destinations.toml`: a visitor cannot create a time series. Only the
first 200 sites of `sites.toml`, in their order, have a label; all others share `_other`. A site keeps its label until
the next start.

Alerts and recording rules use these metrics: `deploy/prometheus/`. What to do about an alert: docs/runbooks.md.
"""

_Row = tuple[str, str, Iterable[str], str]


def _of_collector() -> list[_Row]:
    rows: list[_Row] = []
    for name, declared in collector.metrics.METRICS.items():
        kind = "gauge" if declared.kind == "gauge_max" else declared.kind
        rows.append((collector.metrics.PREFIX + name, kind, declared.labels, declared.help))
    return rows


def _of_text(exposition: str) -> list[_Row]:
    return [
        (family.name, family.type, family.samples[0].labels, family.documentation)
        for family in text_string_to_metric_families(exposition)
    ]


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
        "Every stage": _of_text(version.BUILD_INFO),
        "Collector": _of_collector(),
        "Enricher": _of(vars(enricher.metrics.Metrics()).values()),
        "Sink": _of(vars(sink.metrics).values()),
        "Forwarder": _of(vars(sink.forward.metrics).values()),
    }
    parts = [_HEAD]
    for stage, rows in stages.items():
        parts += [
            f"\n## {stage}\n",
            "| metric | type | labels | meaning, and what to do when it changes |",
            "|---|---|---|---|",
        ]
        for name, kind, labels, text in rows:
            shown = ", ".join(f"`{label}`" for label in labels)
            parts.append(f"| `{name}` | {kind} | {shown} | {text.replace('|', chr(92) + '|')} |")
    return "\n".join(parts) + "\n"


def main(arguments: list[str]) -> int:
    """Write the page, or compare it; return 1 if it is not current."""
    if arguments == ["--write"]:
        PAGE.write_text(page())
        return 0
    if PAGE.read_text() != page():
        print("docs/metrics.md is not current: python -m tests.deploy.metrics_page --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
