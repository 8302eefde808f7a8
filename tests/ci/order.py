"""A pytest plugin: with several workers, the longest files of tests begin first, so that none is left for the end.

pytest-xdist would begin with the files that have the most tests; the longest ones have few.
"""

from pathlib import Path
from typing import Final

import pytest

LONGEST: Final = (
    "deploy/test_native",
    "report/test_numbers",
    "deploy/test_files",
    "report/test_page",
    "sql/choices/test_choices",
    "deploy/test_prometheus",
    "sql/test_definitions",
    "sql/test_windows",
    "sql/closed/test_sums",
    "loadtest/bench/test_bench",
    "sql/test_closed_days",
    "sql/docs/test_page",
    "faults/test_partitions",
    "e2e/test_upgrade",
    "faults/test_cluster",
    "loadtest/test_chaos",
    "sink/shards/test_shards",
    "sql/test_questions",
    "faults/test_sink_crashes",
    "enricher/stream/test_faults",
    "sink/test_sink",
    "deploy/local/test_runner",
    "e2e/test_surface_in_browser",
    "e2e/test_whole_way",
    "e2e/test_kill",
    "sql/test_visits",
    "sql/test_steps",
    "sql/test_markov_shapley",
    "report/test_live",
    "sink/test_tools",
    "sink/test_reset_offsets",
    "sink/rights/test_users",
    "sink/test_migrations",
    "sink/forward/test_warehouse",
    "sink/forward/test_story",
    "sink/rights/test_rights",
    "tag/test_delivery",
    "tag/test_recipes",
    "tag/test_engines",
    "tag/test_filing",
    "tag/test_domains",
    "deploy/test_edge",
    "deploy/test_observed",
    "deploy/live/test_live",
    "deploy/local/test_readme",
    "deploy/live/test_backup",
    "deploy/local/clickhouse/test_clickhouse",
    "loadtest/test_run",
    "loadtest/test_demo",
    "loadtest/test_limit",
    "e2e/test_security",
    "e2e/test_refusal",
    "faults/test_start",
    "sql/test_credits",
    "sql/test_campaigns",
    "sql/test_tagging",
    "report/test_links",
    "sink/test_poison",
    "collector/process/test_kill",
    "collector/kafka/test_outage",
    "collector/process/test_rolling_restart",
    "collector/http/test_behind_nginx",
    "stage/test_stop_client",
    "test_brokers",
    "enricher/row/test_enrich",
    "test_unit",
)
"""Files that start processes and take over ten seconds, about the longest first."""
_ROOT: Final = Path(__file__).parents[1]
_PLACES: Final = {_ROOT / f"{name}.py": place for place, name in enumerate(LONGEST)}


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort in each worker alike; without workers the order stays that of the folders."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _PLACES.get(item.path, len(LONGEST)))
