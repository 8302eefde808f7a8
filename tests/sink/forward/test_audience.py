"""Audiences out: only who consents now, only what changed, and no word of whom in the note."""

import json
import time
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enricher.contract import Event, encode_row
from sink import clickhouse
from sink.forward import audience
from sink.forward.audience_files import changes, member, read, state_members, state_text, table
from sink.forward.config import ConfigError
from sink.forward.platforms.hashing import email, external_id
from sink.forward.transport import signature
from sink.settings import Settings
from tests.clickhouse import ClickHouse
from tests.sink.forward.platform_server import platform_server

DEFINITION = """
name = "cart-without-purchase"
event = "add_to_cart"
without = "purchase"
form = "meta"
user_data = ["email", "external_id"]
url = "{url}/hook"
credential_file = "key"
"""
NOW_MS = round(time.time() * 1000)
HASHES = st.sampled_from(["", "0" * 64, "1" * 64, "a" * 64])
MEMBERS = st.lists(st.tuples(HASHES, HASHES, HASHES).filter(any), max_size=12)


def row(number: int, name: str, visitor: str, **fields: object) -> bytes:
    at = f"{(NOW_MS - 3_600_000 + number * 1000) / 1000:.3f}"
    one = Event(
        event_id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{number}{name}{visitor}")), site="shop", event=name, kind="tag",
        received_at=at, occurred_at=at, version=number + 1, visitor_id=visitor, visitor_kind="cookie",
        **({"consent": "given"} | fields),  # type: ignore[arg-type]
    )  # fmt: skip
    return encode_row(one)


ROWS = [
    row(1, "add_to_cart", "a", props={"email": "a@shop.example"}),
    row(2, "add_to_cart", "b", props={"email": "b@shop.example"}),
    row(3, "purchase", "b"),
    row(4, "add_to_cart", "c", user_id="u-3"),
    row(5, "add_to_cart", "d"),
    row(6, "add_to_cart", "e", props={"email": "e@shop.example", "consent_advertising": "0"}),
    row(7, "add_to_cart", "f", props={"email": "f@shop.example"}, consent="assumed"),
]
A, C = (email("a@shop.example"), "", ""), ("", "", external_id("u-3"))


async def stored(storage: ClickHouse, *rows: bytes) -> Settings:
    settings = Settings(clickhouse=storage.url)
    connection = await clickhouse.connect(settings)
    await clickhouse.insert(connection, b"".join(rows), None)
    await connection.close()
    return settings


async def test_only_what_changed_and_who_consents(
    storage: ClickHouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = await stored(storage, *ROWS)
    definition, out = tmp_path / "cart.toml", tmp_path / "cart"
    definition.write_text(DEFINITION.format(url="https://shop.example"))

    async def run() -> tuple[list[str], list[str]]:
        assert await audience.command(settings, "shop", definition, "csv", out) == 0
        return tuple((tmp_path / f"cart.{which}.csv").read_text().splitlines()[1:] for which in ("added", "gone"))  # type: ignore[return-value]

    assert await run() == (sorted([",".join(A), ",".join(C)]), [])
    assert await run() == ([], [])
    # One refuses, one is new.
    await stored(
        storage,
        row(20, "consent", "a", consent="refused"),
        row(21, "add_to_cart", "g", props={"email": "g@shop.example"}),
    )
    assert await run() == ([",".join((email("g@shop.example"), "", ""))], [",".join(A)])
    assert (tmp_path / "cart.state").stat().st_mode & 0o077 == 0
    connection = await clickhouse.connect(settings)
    notes = (await connection.query("SELECT * EXCEPT (at, done_by) FROM pharos.audience_exports")).result_rows
    await connection.close()
    assert sorted(notes) == sorted(
        ("shop", "cart-without-purchase", "csv", "meta", *counts) for counts in [(2, 2, 0), (2, 0, 0), (2, 1, 1)]
    )
    assert "2 members, 1 new, 1 gone" in capsys.readouterr().out


async def test_an_audience_of_any_size() -> None:
    """More members than a question can name, each with an address."""
    count = 10_000
    visitors = [f"{number:032}" for number in range(count)]

    async def query(text: str, parameters: dict[str, Any]) -> Any:
        assert all(len(str(value)) < 131_072 for value in parameters.values())  # ClickHouse's http_max_field_value_size
        if "audience_where" in text:
            return SimpleNamespace(result_rows=[(each, "", f"visitor {each}") for each in visitors])
        return SimpleNamespace(
            result_rows=[(each, "", f"{each}@shop.example", "", "", "", "") for each in parameters["visitors"]]
        )

    found = await audience.members(
        SimpleNamespace(query=query),
        "shop",
        read(DEFINITION.format(url="https://shop.example")),
    )
    assert sorted(found) == sorted((email(f"{each}@shop.example"), "", "") for each in visitors)


async def test_a_webhook_that_fails_gets_it_again(storage: ClickHouse, tmp_path: Path) -> None:
    settings = await stored(storage, *ROWS)
    (tmp_path / "key").write_text("k\n")
    async with platform_server() as server:
        definition, out = tmp_path / "cart.toml", tmp_path / "cart"
        definition.write_text(DEFINITION.format(url=server.url))
        server.faults.append("reset")
        assert await audience.command(settings, "shop", definition, "webhook", out) == 1
        assert not (tmp_path / "cart.state").exists()
        assert await audience.command(settings, "shop", definition, "webhook", out) == 0
        (body,) = server.bodies["/hook"]
        head = server.heads[-1]
    assert body["added"] == [list(each) for each in sorted([A, C])]
    sent = json.dumps(body, separators=(",", ":")).encode()
    assert head["Pharos-Signature"] == signature("k", int(head["Pharos-Timestamp"]), sent)


@given(MEMBERS, MEMBERS)
def test_the_changes_make_the_new_of_the_old(
    before: list[tuple[str, str, str]], now: list[tuple[str, str, str]]
) -> None:
    added, gone = changes(state_members(state_text(before)), now)
    assert (set(before) | set(added)) - set(gone) == set(now)
    assert not set(added) & set(gone)


@pytest.mark.parametrize(
    ("form", "head"),
    [("meta", "email,phone,extern_id"), ("google", "Email,Phone"), ("tiktok", "EMAIL_SHA256,PHONE_SHA256")],
)
def test_a_form(form: str, head: str) -> None:
    made = member(form, {"email": "J.D@gmail.com", "phone": "+43 660 1234567", "external_id": "u1"})  # type: ignore[arg-type]
    assert made is not None
    assert (made[0] == email("jd@gmail.com")) == (form == "google")
    assert bool(made[2]) == (form == "meta")
    text = table(form, [made])  # type: ignore[arg-type]
    assert text.splitlines()[0] == head
    assert "gmail" not in text


def test_nobody_without_what_the_platform_takes() -> None:
    assert member("google", {"external_id": "u1"}) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('form = "meta"', 'form = "myspace"'), "Invalid enum value 'myspace'"),
        (('event = "add_to_cart"', ""), "missing required field `event`"),
        (('["email", "external_id"]', "[]"), "length >= 1"),
        (('name = "cart', 'name = "../cart'), "name: 1-63"),
        (('name = "cart', "name = cart"), "not TOML"),
    ],
)
def test_a_wrong_definition_is_named(change: tuple[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("[", r"\[").replace(">=", ".*")):
        read(DEFINITION.replace(*change))
