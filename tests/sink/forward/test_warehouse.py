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


async def test_a_strangers_event_with_the_orders_id_hides_no_order() -> None:
    """A page has sent a `signup` with the id of a server's order: the refund is about the order."""
    refund = (*ROW[:1], "refund", *ROW[2:7], "r1", *ROW[8:14], {"order_id": "o1"}, True)
    order = ("019aa0b1-c2d3-7e4f-8a9b-acbdcedfe0f2", *ROW[1:15], True)
    strangers = ("019aa0b1-c2d3-7e4f-8a9b-acbdcedfe0f3", "signup", *ROW[2:15], False)
    for rows in ([order, strangers], [strangers, order]):

        async def query(text: str, parameters: dict[str, Any], rows: list[Any] = rows) -> Any:
            if "{ids:Array(UUID)}" in text:
                return SimpleNamespace(result_rows=[refund])
            if "standing" in text and "{orders:Array(String)}" in text:
                return SimpleNamespace(result_rows=rows)
            return SimpleNamespace(result_rows=[])

        warehouse = Warehouse(SimpleNamespace(query=query))
        found = await warehouse.events("shop", {EVENT_ID: ROW[2]}, ["purchase", "signup"], 90)
        about = found[EVENT_ID].order
        assert about is not None
        assert about.event == "purchase"
