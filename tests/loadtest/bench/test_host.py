"""The benchmark of a small host measures what Compose would start: its settings, Kafka's and the edge's."""

from pathlib import Path

import pytest
import yaml

from loadtest.bench.host import group, kafka, small

COMPOSE = yaml.safe_load((small.DEPLOY / "compose.yaml").read_text())["services"]
SMALL = yaml.safe_load((small.DEPLOY / "compose.small.yaml").read_text())["services"]


def test_the_settings_are_those_of_the_file() -> None:
    for name, service in SMALL.items():
        assert small.settings(name) == {k: str(v) for k, v in service.get("environment", {}).items()}, name
    assert small.settings("kafka")
    assert small.settings("sink")


def test_kafka_is_set_as_in_compose() -> None:
    """All but addresses, folders and what is made for containers only."""
    given = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
        for name, value in COMPOSE["kafka"]["environment"].items()
        if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS"
    }
    for own in ("listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs"):
        del given[own]
    assert dict(line.split("=", 1) for line in kafka.PROPERTIES.strip().splitlines()) == given


@pytest.mark.parametrize(
    ("groups", "files", "used"),
    [
        (
            "5:cpu,cpuacct:/x\n4:memory:/small\n0::/\n",
            {
                "memory/small/memory.limit_in_bytes": "4294967296\n",
                "memory/small/memory.usage_in_bytes": "2097152\n",
                "memory/small/memory.stat": "rss 1\ntotal_cache 5\ntotal_rss 1048576\n",
            },
            {"group_mb": 2.0, "group_programs_mb": 1.0},
        ),
        (
            "0::/run.scope\n",
            {
                "run.scope/memory.max": "4294967296\n",
                "run.scope/memory.current": "2097152\n",
                "run.scope/memory.stat": "anon 1048576\nfile 5\n",
            },
            {"group_mb": 2.0, "group_programs_mb": 1.0},
        ),
        ("0::/\n", {}, {}),
        ("0::/run.scope\n", {"run.scope/memory.max": "max\n"}, {}),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, {}),
    ],
    ids=["version 1", "version 2", "the root", "version 2 without a limit", "version 1 without a limit"],
)
def test_what_the_control_group_uses(
    groups: str, files: dict[str, str], used: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").write_text(groups)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(group, "ROOT", tmp_path)
    monkeypatch.setattr(group, "OWN", tmp_path / "own")
    assert group.used_mb() == used
    assert bool(group.limit_mb()) == bool(used)
