"""docs/metrics.md says what to do about each metric; `make check` looks whether it is current."""

from tests.deploy import metrics_page


def test_every_metric_says_what_to_do() -> None:
    rows = [line.split(" | ") for line in metrics_page.page().splitlines() if line.startswith("| `")]
    assert len(rows) > 30
    for name, *_, text in rows:
        assert len(text.split()) > 3, name
