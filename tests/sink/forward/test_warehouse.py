"""Questions to ClickHouse that an outsider cannot make longer than it takes them."""

from types import SimpleNamespace
from typing import Any

from sink.forward.warehouse import Warehouse

EVENT_ID = "019aa0b1-c2d3-7e4f-8a9b-acbdcedfe0f1"
ROW: tuple[Any, ...] = (
    EVENT_ID,
    "purchase",
    1_795_334_400_000,
    5,
    "EUR",
    "v0",
    "u",
    "o1",
    "",
    "",
    "",
    "",
    "given",
    False,
    {},
    False,
)
CLAIMED = 10_000
LONGEST = 131_072
"""ClickHouse's http_max_field_value_size."""


class Connection:
    """A ClickHouse with one purchase, whose user id many browsers have claimed; the latest of them has refused."""

    async def query(self, query: str, parameters: dict[str, Any]) -> Any:
        assert all(len(str(value)) < LONGEST for value in parameters.values())
        visitors = parameters.get("visitors", [])
        if "pharos.people" in query:
            rows: list[Any] = [(f"v{number:031}", "u") for number in range(CLAIMED)] if parameters["users"] else []
        elif "pharos.refusals" in query:
            rows = [(each, 7) for each in visitors if each == f"v{CLAIMED - 1:031}"]
        elif "click_id_name" in query:
            rows = []
        else:
            rows = [ROW]
        return SimpleNamespace(result_rows=rows)


async def test_a_user_id_that_many_browsers_claim() -> None:
    warehouse = Warehouse(Connection())  # type: ignore[arg-type]
    found = await warehouse.events("shop", {EVENT_ID: 1_795_334_400_000}, ["purchase"], 90)
    assert found[EVENT_ID].refused_ms == 7
