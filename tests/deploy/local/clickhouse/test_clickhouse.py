"""The ClickHouse endpoint as its clients see it: clickhouse_connect, curl, BI tools, and a browser that must not.

Long, because it is a list: what each client asks.
"""

import asyncio
import gzip
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import clickhouse_connect
import cramjam
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError
from clickhouse_connect.driver.external import ExternalData

from deploy.local.clickhouse import coding
from tests.clickhouse import ClickHouse
from tests.processes import Program
from tests.waiting import until

SLOW = "SELECT count(), sum(sleepEachRow(0.01)) FROM numbers(3000) SETTINGS max_block_size = 10"


@pytest.fixture
def client(clickhouse: ClickHouse) -> Iterator[Client]:
    with clickhouse.client() as found:
        found.command("CREATE DATABASE IF NOT EXISTS local_test")
        found.command("DROP TABLE IF EXISTS local_test.t")
        found.command(
            "CREATE TABLE local_test.t (a UInt64, b String) ENGINE = MergeTree ORDER BY a "
            "SETTINGS non_replicated_deduplication_window = 100"
        )
        yield found


@pytest.fixture
async def http(clickhouse: ClickHouse, client: Client) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(clickhouse.url, auto_decompress=False) as session:
        yield session


def test_rows_go_in_and_come_out(client: Client) -> None:
    client.insert("local_test.t", [[1, "eins"], [2, "zwei\n'\\"]], column_names=["a", "b"])
    assert client.query("SELECT a, b FROM local_test.t ORDER BY a").result_rows == [(1, "eins"), (2, "zwei\n'\\")]
    assert client.query("SELECT a FROM local_test.t WHERE a > 9").result_rows == []
    assert client.command("SELECT count() FROM local_test.t") == 2
    found = client.query("SELECT {x:String}, {l:Array(UInt8)}", parameters={"x": "a\tb'\\", "l": [1, 2]})
    assert found.result_rows == [("a\tb'\\", [1, 2])]


def test_parameters_too_long_for_a_url_come_in_the_body(clickhouse: ClickHouse, client: Client) -> None:
    """clickhouse-connect sends them as a form; it sends tables of its own the same way, and these are refused."""
    text = "ä'\\\n" * 5_000
    asked = "SELECT length({text:String}), {text:String} = {again:String}, {short:UInt8}"
    given = {"text": text, "again": text, "short": 7}
    assert client.query(asked, parameters=given).result_rows == [(len(text.encode()), True, 7)]
    assert client.command("SELECT length({text:String})", parameters=given) == len(text.encode())
    with clickhouse.client("analyst") as analyst:
        assert analyst.query(asked, parameters=given).result_rows == [(len(text.encode()), True, 7)]
        with pytest.raises(DatabaseError, match="readonly"):
            analyst.query("DROP TABLE local_test.t /* {text:String} */", parameters=given)
    with pytest.raises(DatabaseError, match="External tables are not supported"):
        client.query(
            "SELECT * FROM outside",
            external_data=ExternalData(file_name="outside", data=b"1\n", fmt="TSV", types=["UInt8"]),
        )


def test_prepared_bytes_go_in_once_a_token(client: Client) -> None:
    rows = b"".join(b'[%d,"x"]\n' % number for number in range(5000))
    settings = {"insert_deduplication_token": "hits:0:0-4999"}
    for coder in (None, "lz4", "zstd", "gzip"):
        body = rows if coder is None else bytes(getattr(cramjam, coder).compress(rows))
        summary = client.raw_insert(
            "local_test.t", ["a", "b"], body, fmt="JSONCompactEachRow", settings=settings, compression=coder
        )
        assert summary.written_rows == 5000
    assert client.command("SELECT count(), sum(a) FROM local_test.t") == ["5000", str(sum(range(5000)))]


def test_a_broken_row_is_refused_with_the_code_and_writes_nothing(client: Client) -> None:
    with pytest.raises(DatabaseError, match=r"CANNOT_PARSE_INPUT_ASSERTION_FAILED") as refused:
        client.raw_insert("local_test.t", ["a", "b"], b'[1,"x"]\n[oops\n', fmt="JSONCompactEachRow")
    assert refused.value.code in (26, 27, 72)
    assert client.command("SELECT count() FROM local_test.t") == 0


def test_sessions_keep_settings_and_temporary_tables(clickhouse: ClickHouse) -> None:
    with clickhouse_connect.get_client(host="127.0.0.1", port=clickhouse.port, session_id="mine") as mine:
        mine.command("CREATE TEMPORARY TABLE kept (a UInt8)")
        mine.command("INSERT INTO kept VALUES (7)")
        assert mine.query("SELECT a FROM kept", settings={"max_threads": 1}).result_rows == [(7,)]
        mine.command("SET max_block_size = 4711")
        assert mine.command("SELECT getSetting('max_block_size')") == 4711
        mine.command("SELECT 1", settings={"max_block_size": 12})
        assert mine.command("SELECT getSetting('max_block_size')") == 4711
    with clickhouse.client() as other, pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        other.query("SELECT a FROM kept")


async def test_the_async_client(clickhouse: ClickHouse, client: Client) -> None:
    async with await clickhouse_connect.get_async_client(host="127.0.0.1", port=clickhouse.port) as asynchronous:
        found = await asynchronous.query("SELECT number FROM numbers(200000)")
        assert sum(row[0] for row in found.result_rows) == sum(range(200000))


async def test_inserts_do_not_wait_for_queries(http: aiohttp.ClientSession) -> None:
    """The query takes some 30 s: that an insert and its count are through before it ends needs no clock."""
    slow = asyncio.create_task(_post(http, SLOW))
    await until(lambda: _running(http), "the slow query in system.processes")
    await _post(http, "INSERT INTO local_test.t VALUES (1, 'beside')")
    assert await _post(http, "SELECT b FROM local_test.t") == "beside\n"
    assert not slow.done()
    slow.cancel()
    await until(lambda: _gone(http), "the cancelled query's end")


async def test_a_query_ends_when_its_client_goes(http: aiohttp.ClientSession, clickhouse: ClickHouse) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", clickhouse.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(SLOW), SLOW.encode()))
    await until(lambda: _running(http), "the query in system.processes")
    writer.close()
    await until(lambda: _gone(http), "its end")


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELECT nope", 404, "47"),
        ("SELEC 1", 400, "62"),
        ("SELECT * FROM nowhere.t", 404, "81"),
        ("SELECT * FROM local_test.nope", 404, "60"),
        ("SELECT 1 FORMAT Nope", 404, "73"),
        ("SELECT throwIf(1)", 500, "395"),
        ("SELECT 1 SETTINGS nope = 1", 404, "115"),
        ("SELECT 1; SELECT 2", 400, "62"),
        ("SELECT 1 INTO OUTFILE '/tmp/never'", 500, "358"),
        ("SELECT 1 /*" + "x" * 300_000 + "*/", 400, "62"),
    ],
)
async def test_errors_are_clickhouses_own(http: aiohttp.ClientSession, sql: str, status: int, code: str) -> None:
    async with http.post("/", data=sql) as answer:
        text = await answer.text()
        assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (status, code)
        assert text.startswith(f"Code: {code}. DB::Exception: ")


def test_an_error_after_the_first_block_is_no_short_result(client: Client) -> None:
    sql = "SELECT throwIf(number = 400000) FROM numbers(500000) SETTINGS max_block_size = 1000"
    with pytest.raises((StreamFailureError, DatabaseError)):
        assert client.query(sql).result_rows  # read as it is asked for


async def test_get_only_reads(http: aiohttp.ClientSession) -> None:
    async with http.get("/", params={"query": "SELECT 1 AS one", "default_format": "JSON"}) as answer:
        assert (await answer.json(content_type=None))["data"] == [{"one": 1}]
        assert answer.headers["X-ClickHouse-Format"] == "JSON"
        assert answer.content_type == "application/json"
    for sql in ("DROP TABLE local_test.t", "INSERT INTO local_test.t VALUES (1, '')"):
        async with http.get("/", params={"query": sql}) as answer:
            assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (500, "164")
    assert await _post(http, "SELECT count() FROM local_test.t") == "0\n"


async def test_url_and_body_make_one_statement(http: aiohttp.ClientSession) -> None:
    async with http.post("/", params={"query": "INSERT INTO local_test.t FORMAT TSV"}, data="1\ta\n2\tb\n") as answer:
        assert '"written_rows":"2"' in answer.headers["X-ClickHouse-Summary"]
    where = {"database": "local_test", "param_least": "2", "max_threads": "1", "query_id": "mine"}
    async with http.post("/", params=where, data="SELECT b FROM t WHERE a >= {least:UInt8} FORMAT CSV") as answer:
        assert await answer.text() == '"b"\n'
        assert answer.headers["X-ClickHouse-Query-Id"] == "mine"


@pytest.mark.parametrize("name", ["gzip", "lz4", "zstd", "br", "deflate"])
async def test_content_codings_both_ways(http: aiohttp.ClientSession, name: str) -> None:
    pack = coding.compressor(name, native=False)
    body = pack.add(b"SELECT number FROM numbers(100000)") + pack.end()
    asked = {"Content-Encoding": name, "Accept-Encoding": name}
    async with http.post("/", params={"enable_http_compression": "1"}, data=body, headers=asked) as answer:
        assert answer.headers["Content-Encoding"] == name
        plain = coding.inflate(name, await answer.read())
    assert plain == b"".join(b"%d\n" % number for number in range(100000))


async def test_native_blocks_both_ways(http: aiohttp.ClientSession) -> None:
    pack = coding.compressor("", native=True)
    body = pack.add(b"SELECT number FROM numbers(100000)")
    async with http.post("/", params={"compress": "1", "decompress": "1"}, data=body) as answer:
        assert b"".join(coding.blocks(await answer.read())).count(b"\n") == 100000
    async with http.post("/", params={"decompress": "1"}, data=b"x" + body[1:]) as answer:
        assert answer.headers["X-ClickHouse-Exception-Code"] == "271"


def test_native_blocks_are_those_on_clickhouses_disk(clickhouse: ClickHouse, client: Client) -> None:
    """The engine writes the same blocks into its column files: its checksums must be ours."""
    client.insert("local_test.t", [[number, "x" * number] for number in range(1000)], column_names=["a", "b"])
    files = list((clickhouse.folder / "data/store").glob("*/*/all_*/data.bin"))
    assert files
    for file in files:
        assert b"".join(coding.blocks(file.read_bytes()))


async def test_the_analyst_only_reads(http: aiohttp.ClientSession) -> None:
    assert await _post(http, "SELECT count() FROM local_test.t", user="analyst", max_threads="1") == "0\n"
    for sql in (
        "INSERT INTO local_test.t VALUES (1, '')",
        "DROP TABLE local_test.t",
        "SET readonly = 0",
        "SYSTEM STOP MERGES",
        "KILL QUERY WHERE 1",
        "BACKUP TABLE local_test.t TO File('x')",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1', 'LineAsString')",
    ):
        async with http.post("/", params={"user": "analyst"}, data=sql) as answer:
            assert answer.headers["X-ClickHouse-Exception-Code"] == "164", sql
    async with http.post("/", params={"user": "analyst", "readonly": "0"}, data="SELECT 1") as answer:
        assert answer.headers["X-ClickHouse-Exception-Code"] == "164"


def test_the_analyst_with_clickhouse_connect(clickhouse: ClickHouse, client: Client) -> None:
    with clickhouse.client("analyst") as analyst:
        assert analyst.query("SELECT count() FROM local_test.t").result_rows == [(0,)]


async def test_wrong_parameters_are_no_fault_of_ours(http: aiohttp.ClientSession) -> None:
    async with http.post("/", params={"session_timeout": "soon"}, data="SELECT 1") as answer:
        assert answer.headers["X-ClickHouse-Exception-Code"] == "374"
    async with http.post("/", params={"query_id": "a\r\nX-Evil: 1"}, data="SELECT 1") as answer:
        assert (answer.status, "X-Evil" in answer.headers) == (200, False)


async def test_a_page_of_another_site_is_turned_away(http: aiohttp.ClientSession) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Host": "rebound.example"}):
        async with http.post("/", data="SELECT 1", headers=headers) as answer:
            assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516")


async def test_what_a_monitor_asks(http: aiohttp.ClientSession) -> None:
    for path in ("/ping", "/replicas_status", "/"):
        async with http.get(path) as answer:
            assert (answer.status, await answer.text()) == (200, "Ok.\n")


class TestOwnFolder:
    """What needs an endpoint of its own: passwords, ends and beginnings."""

    async def test_passwords(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PHAROS_LOCAL_CLICKHOUSE_PASSWORD", "geheim")
        endpoint = ClickHouse(tmp_path)
        endpoint.start()
        async with aiohttp.ClientSession(endpoint.url) as http:
            for where, headers in (
                ({"user": "default", "password": "geheim"}, {}),
                ({}, {"X-ClickHouse-User": "default", "X-ClickHouse-Key": "geheim"}),
                ({}, {"Authorization": aiohttp.encode_basic_auth("default", "geheim")}),
            ):
                async with http.post("/", data="SELECT 1", params=where, headers=headers) as answer:
                    assert await answer.text() == "1\n"
            for where, headers in (({}, {}), ({}, {"Authorization": "Basic ?"}), ({"password": "x"}, {})):
                async with http.post("/", data="SELECT 1", params=where, headers=headers) as answer:
                    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516")
        endpoint.kill()

    def test_what_was_acknowledged_is_there_after_kill(self, tmp_path: Path) -> None:
        endpoint = ClickHouse(tmp_path)
        endpoint.start()
        settings = {"insert_deduplication_token": "hits:0:0-999"}
        rows = b"".join(b"%d\n" % number for number in range(1000))
        with endpoint.client() as client:
            client.command(
                "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a "
                "SETTINGS non_replicated_deduplication_window = 100"
            )
            client.raw_insert("t", ["a"], rows, fmt="TSV", settings=settings)
        endpoint.kill()
        endpoint.start()
        with endpoint.client() as client:
            client.raw_insert("t", ["a"], rows, fmt="TSV", settings=settings)
            assert client.command("SELECT count() FROM t") == 1000
        endpoint.stop()

    def test_one_endpoint_a_folder(self, clickhouse: ClickHouse, start: Callable[..., Program]) -> None:
        folder = clickhouse.folder / "data"
        program = start([sys.executable, "-m", "deploy.local.clickhouse", "--port", "0", "--path", str(folder)])
        assert program.wait(30) == 2
        assert program.output() == f"{folder}: another ClickHouse endpoint uses this folder\n"

    def test_a_busy_port_is_named(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as busy:
            port = busy.getsockname()[1]
            command = [
                sys.executable,
                "-m",
                "deploy.local.clickhouse",
                "--port",
                str(port),
                "--path",
                str(tmp_path),
            ]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (2, f"port {port} on 127.0.0.1: Address already in use\n")


def test_gzip_by_hand_is_read(clickhouse: ClickHouse) -> None:
    """What `gzip | curl` sends, rather than what our own compressor makes."""
    assert coding.inflate("gzip", gzip.compress(b"SELECT 1")) == b"SELECT 1"
    with pytest.raises(ValueError, match=r"."):
        coding.inflate("gzip", b"no gzip")


async def _post(http: aiohttp.ClientSession, sql: str, **params: str) -> str:
    async with http.post("/", params=params, data=sql) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.text()


async def _running(http: aiohttp.ClientSession) -> bool:
    return await _post(http, "SELECT count() FROM system.processes WHERE query LIKE '%(3000)%'") == "2\n"


async def _gone(http: aiohttp.ClientSession) -> bool:
    return await _post(http, "SELECT count() FROM system.processes WHERE query LIKE '%(3000)%'") == "1\n"
