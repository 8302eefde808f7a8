"""A row that ClickHouse must accept: if it refuses this one, the schema is wrong, not the rows."""

from typing import Final

from enricher.contract import Event, encode_row

EVENT: Final = Event(
    event_id="019aa0b1-c2d3-7e4f-8a9b-acbdcedfe0f1",
    site="probe",
    event="pageview",
    kind="tag",
    received_at="1795334400.123",
    occurred_at="1795334399.876",
    version=1152921504606846977,
    visitor_id="9f86d081884c7d659a2feaa0c55ad015",
    visitor_kind="cookie",
    url="https://shop.example/p/1",
    value="19.90",
    currency="EUR",
    is_bot=True,
    props={"plan": "pro"},
    enriched_by=1,
)

ROW: Final = encode_row(EVENT)
