"""Finding refused rows, and the brake."""

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from enricher.contract import decode_dead, encode_dead
from sink.batch import Batch, Limits
from sink.bisect import Brake, RefusedRow
from sink.clickhouse import Refused, Stop, without_row_values
from sink.dead_letters import find, letter
from tests.sink.rows import BAD, row
from tests.sink.test_batch import Record


class Asked:
    """A ClickHouse that refuses bodies with a bad line, and may name the row, or a wrong one."""

    def __init__(self, names: str) -> None:
        self.names = names
        self.questions = 0

    async def __call__(self, body: bytes) -> None:
        self.questions += 1
        lines = body.splitlines(keepends=True)
        bad = [number for number, line in enumerate(lines, 1) if line.startswith(b"[bad")]
        if bad:
            named = {"right": f"(at row {bad[0]})", "wrong": f"(at row {bad[0] % 7 + 90})", "none": ""}[self.names]
            raise Refused(f"cannot parse {named}")


@pytest.mark.parametrize("names", ["right", "wrong", "none"])
@given(st.integers(1, 1500), st.data())
async def test_every_bad_row_is_found_and_no_other(names: str, count: int, draw: st.DataObject) -> None:
    bad = draw.draw(st.sets(st.integers(0, count - 1), max_size=20))
    rows = [b"[bad]\n" if index in bad else b"[1]\n" for index in range(count)]
    found = await find(rows, Asked(names), careful=names == "wrong")
    assert [one.index for one in found] == sorted(bad)


async def test_a_row_that_clickhouse_names_costs_few_questions() -> None:
    rows = [b"[bad]\n" if index % 10 == 0 else b"[1]\n" for index in range(20_000)]
    asked = Asked("right")
    assert len(await find(rows, asked)) == 2_000
    assert asked.questions <= 2 * 2_000 + 100


async def test_a_row_that_was_named_wrongly_is_not_dead() -> None:
    rows = [b"[bad]\n" if index == 50 else b"[1]\n" for index in range(200)]
    assert [one.index for one in await find(rows, Asked("wrong"))] in ([], [50])
    assert [one.index for one in await find(rows, Asked("wrong"), careful=True)] == [50]


async def test_the_search_ends_where_the_brake_would_bite() -> None:
    asked = Asked("right")
    assert len(await find([b"[bad]\n"] * 5000, asked, most=10)) == 10
    assert asked.questions < 100


async def test_what_is_no_row_is_found_without_asking() -> None:
    asked = Asked("right")
    found = await find([b"[1]\n", b"nonsense", b""], asked)
    assert [one.index for one in found] == [1, 2]
    assert asked.questions == 1


async def test_other_trouble_is_not_taken_for_a_bad_row() -> None:
    async def ask(body: bytes) -> None:
        raise Stop("no such table")

    with pytest.raises(Stop):
        await find([b"[1]\n"], ask)


def test_a_dead_letter_keeps_the_record_whole() -> None:
    rows = Batch(Limits(10, 1000, 1.0))
    rows.add([Record(41, row(1), 7), Record(43, BAD, 8)], now=0.0)
    made = letter(TopicPartition("hits.enriched", 2), rows, RefusedRow(1, "Cannot parse UUID"))
    assert (made.record, made.offset, made.partition, made.at) == (BAD, 43, 2, 8)
    assert decode_dead(encode_dead(made)) == made


def test_the_brake_needs_many_rows_and_a_high_share() -> None:
    brake = Brake(0.5, 1_000)
    assert not brake.count(taken=0, refused=999)  # one bad sender at night
    assert Brake(0.5, 1_000).count(taken=400, refused=600)
    assert not Brake(0.5, 1_000).count(taken=90_000, refused=10_000)


def test_the_brake_forgets() -> None:
    brake = Brake(0.5, 1_000)
    for _ in range(20):
        assert not brake.count(taken=1_000, refused=100)
    assert [brake.count(taken=0, refused=1_000) for _ in range(6)][-1]


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (
            "Code: 27. DB::Exception: Cannot parse input: expected ',' before: '[\"a@b.example\",...': (at row 3)",
            "Code: 27. DB::Exception: Cannot parse input: expected ...",
        ),
        ("Cannot parse string 'a@b.example' as UInt8: syntax error (at row 1)", "Cannot parse string ..."),
        (
            "Constraint `x` for table pharos.event_log is violated at row 1. Column values: site = 'a@b.example'",
            "Constraint ...",
        ),
        ("Value is out of range, parsed text: a@b.example", "Value is out of range, ..."),
        ("Memory limit (total) exceeded", "Memory limit (total) exceeded"),
    ],
)
def test_the_log_gets_clickhouses_words_without_the_row(words: str, kept: str) -> None:
    assert without_row_values(words) == kept
