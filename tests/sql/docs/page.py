"""docs/sql.md and docs/questions.md as a test: `python -m tests.sql.docs.page [--write]` runs their queries.

A block ```sql``` followed by a block ```text``` must give that text; a block ```sql``` alone must run. The month
is the demo's story (seed 1, up to 2026-11-01), through the real enricher, written straight into the table.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import md5
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
from clickhouse_connect.driver.client import Client

from collector.contract import Hit
from enricher.tables import load_enricher
from loadtest.traffic import story
from tests.clickhouse import ClickHouse
from tests.sql.warehouse import Warehouse

DOCS = Path(__file__).parents[3] / "docs"
PAGES = (DOCS / "sql.md", DOCS / "questions.md")
END = datetime(2026, 11, 1, tzinfo=UTC)
_BLOCK = re.compile(r"```sql\n(?P<sql>.*?)```\n(?:\n```text\n(?P<answer>.*?)```\n)?", re.DOTALL)
_NOT_IN_A_BODY = ("site", "consent", "visitor_id")
_SETTINGS = {
    "output_format_pretty_color": 0,
    "output_format_pretty_row_numbers": 0,
    "output_format_pretty_display_footer_column_names": 0,
    "output_format_pretty_single_large_number_tip_threshold": 0,
    "output_format_pretty_max_value_width": 200,
}


def rows() -> Iterator[bytes]:
    """Yield the month's events as the enricher writes them; what the collector would refuse is left out."""
    enricher = load_enricher()
    for number, hit in enumerate(_hits()):
        row = enricher.enrich(hit)
        if not isinstance(row, bytes):
            raise TypeError(f"the story's hit {number} was refused: {row}")
        yield row


def _hits() -> Iterator[Hit]:
    for sending in story.month(1, END, site="demo"):
        if sending.refused:
            continue
        at = round(sending.at.timestamp() * 1000)
        if sending.leads_to:
            click = parse_qs(urlsplit(sending.leads_to).query)["_pcl"][0]
            said = {"event": "click", "link_code": sending.target.rpartition("/")[2]}
            body = json.dumps({**said, "click_id": click, "url": sending.leads_to.partition("&_pcl=")[0]})
            hit = _hit(at, sending.visitor, kind="click", body=body, user_agent=sending.user_agent)
            yield msgspec.structs.replace(hit, id=click)
        elif sending.method == "GET":
            query = sending.target.partition("?")[2]
            opener = md5(parse_qs(query)["id"][0].encode(), usedforsecurity=False).hexdigest()
            yield _hit(at, opener, kind="open", query=query, user_agent=sending.user_agent)
        else:
            kind = "server" if sending.target == "/v1/events" else "tag"
            for said in json.loads(sending.body):
                visitor = said.get("visitor_id", sending.visitor)
                body = json.dumps({name: value for name, value in said.items() if name not in _NOT_IN_A_BODY})
                yield _hit(said["time"], visitor, kind=kind, body=body, user_agent=sending.user_agent)


def _hit(at: int, visitor: str, **fields: str) -> Hit:
    known = {"visitor_id": visitor, "visitor_kind": "cookie" if visitor else "none"}
    return Hit(id=f"{at:012x}70008000000000000000", at=at, site="demo", consent="assumed", **known, **fields)  # type: ignore[arg-type]


def tell(client: Client) -> None:
    """Write the month into `pharos.event_log`."""
    client.raw_insert("pharos.event_log", insert_block=b"".join(rows()), fmt="JSONCompactEachRow")


def answered(client: Client, text: str) -> str:
    """Return the page with every printed answer replaced by what ClickHouse says now."""

    def block(match: re.Match[str]) -> str:
        answer = client.raw_query(match["sql"], fmt="PrettyCompactMonoBlock", settings=_SETTINGS).decode()
        if match["answer"] is None:
            return match[0]
        return f"```sql\n{match['sql']}```\n\n```text\n{answer}```\n"

    return _BLOCK.sub(block, text)


def main() -> int:
    """Return 0 when the page is true, or has been made so."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="write the answers into the page")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        endpoint = ClickHouse(Path(folder))
        endpoint.start()
        client = endpoint.client()
        Warehouse(client).apply_schema()
        tell(client)
        old = [page.read_text() for page in PAGES]
        new = [answered(client, text) for text in old]
        endpoint.kill()
    if given.write:
        for page, text in zip(PAGES, new, strict=True):
            page.write_text(text)
    elif new != old:
        sys.stderr.write("docs: answers differ; look, then `python -m tests.sql.docs.page --write`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
