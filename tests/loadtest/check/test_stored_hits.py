"""Why ClickHouse could not be asked, in words and not as the client's exception."""

import socket

import pytest

from loadtest.check.stored_hits import ClickHouse, StoreUnavailable, reason
from tests.ports import free_port


def test_a_closed_port_is_named_in_words() -> None:
    with pytest.raises(StoreUnavailable) as caught:
        ClickHouse(f"http://127.0.0.1:{free_port()}")
    assert str(caught.value) == "no connection: Connection refused"


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), "no connection: Connection reset by peer"),
        (TimeoutError(), "no answer in time"),
        (socket.gaierror(-2, "Name or service not known"), "no connection: Name or service not known"),
        (ValueError("first line\nsecond line"), "first line"),
        (ValueError("x" * 500), "x" * 160),
        (
            ValueError(
                "Received ClickHouse exception, code: 241, server response: Code: 241. DB::Exception: No memory"
            ),
            "No memory",
        ),
    ],
)
def test_the_reason_of_a_problem(problem: Exception, words: str) -> None:
    assert reason(problem) == words


def test_the_innermost_reason_counts() -> None:
    outer = ValueError("HTTPConnectionPool(host='127.0.0.1')")
    outer.__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert reason(outer) == "no connection: Connection refused"
