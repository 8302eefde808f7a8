"""The sink's settings: every field a variable, every mistake named in one line."""

import pytest

from sink.settings import Settings, read
from stage.settings import SettingError


def test_without_variables_the_defaults_stand() -> None:
    assert read({"PATH": "/bin", "PHAROS_ENRICHER_KAFKA": "x"}) == Settings()


def test_values_are_read_by_their_types() -> None:
    settings = read(
        {
            "PHAROS_SINK_KAFKA": "a:1,b:2",
            "PHAROS_SINK_BATCH_ROWS": "10",
            "PHAROS_SINK_INSERTS_PER_S": "0.5",
            "PHAROS_SINK_MIGRATE": "false",
            "PHAROS_SINK_CLUSTER": "main_1",
        }
    )
    assert (settings.kafka, settings.batch_rows, settings.inserts_per_s) == ("a:1,b:2", 10, 0.5)
    assert (settings.migrate, settings.cluster) == (False, "main_1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PHAROS_SINK_BATCH_ROW", "10"),
        ("PHAROS_SINK_batch_rows", "10"),
        ("PHAROS_SINK_BATCH_ROWS", "ten"),
        ("PHAROS_SINK_BATCH_ROWS", "0"),
        ("PHAROS_SINK_BATCH_AGE_MS", "-1"),
        ("PHAROS_SINK_ADMIN_PORT", "70000"),
        ("PHAROS_SINK_CLICKHOUSE", "localhost:8123"),
        ("PHAROS_SINK_KAFKA", " "),
        ("PHAROS_SINK_RETENTION_DAYS", "-3"),
        ("PHAROS_SINK_INSERTS_PER_S", "0"),
        ("PHAROS_SINK_DEAD_RATIO", "1.5"),
        ("PHAROS_SINK_MIGRATE", "maybe"),
        ("PHAROS_SINK_TABLE", "t; DROP"),
        ("PHAROS_SINK_CLUSTER", "main'; DROP"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(name: str, value: str) -> None:
    with pytest.raises(SettingError) as caught:
        read({name: value})
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
