"""`python -m collector spool [list|cat|verify]`: inspect the spool, with or without a running collector.

The command only reads. Segments of a running collector may vanish or grow meanwhile; that is not an error.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec
import orjson

from collector import contract
from collector.spool import acknowledged as mark
from collector.spool.acknowledged import Position
from collector.spool.block import unpack
from collector.spool.disk import segments_in
from collector.spool.segment import scan
from stage import version
from stage.command_line import add_command

_PIECE_BYTES = 4 << 20


def folders(spool: Path) -> list[Path]:
    """Return the workers' folders in order."""
    return sorted(
        (path for path in spool.glob("*") if path.is_dir() and path.name.isdecimal()), key=lambda p: int(p.name)
    )


class SegmentCounts(msgspec.Struct):
    """Result of reading one segment."""

    hits: int = 0
    damaged_bytes: int = 0
    damaged_stretches: int = 0
    unreadable: int = 0
    """Hits of whole blocks that cannot be decoded."""


def read_segment(path: Path, each: Callable[[bytes, int], None], read: SegmentCounts) -> None:
    """Call `each(payload, its block's end)` for every hit in order; count hits and damage in `read`.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        at, piece = 0, b""
        while True:
            more = file.read(_PIECE_BYTES)
            seen = scan(piece + more, last=not more)
            for block, end in zip(seen.blocks, seen.ends, strict=True):
                try:
                    payloads = unpack(block)
                except ValueError:
                    read.unreadable += block.hits
                    continue
                for payload in payloads:
                    each(payload, at + end)
                read.hits += len(payloads)
            read.damaged_bytes += sum(stop - start for start, stop in seen.damage)
            read.damaged_stretches += len(seen.damage)
            at += seen.read_to
            piece = (piece + more)[seen.read_to :]
            if not more:
                return


def _rows(spool: Path, now: float) -> Iterator[dict[str, object]]:
    for folder in folders(spool):
        acknowledged = mark.read(folder / "mark")
        for number, path in segments_in(folder).items():
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            sent = stat.st_size if number < acknowledged.segment else 0
            if number == acknowledged.segment:
                sent = min(acknowledged.offset, stat.st_size)
            yield {
                "worker": int(folder.name),
                "segment": number,
                "bytes": stat.st_size,
                "unsent_bytes": stat.st_size - sent,
                "age_s": round(now - stat.st_mtime, 1),
            }


def list_segments(spool: Path, out: IO[str], *, json: bool, now: float) -> int:
    """Print each segment with its age, each worker's mark (segment:offset), and the sums. Return 0."""
    rows = list(_rows(spool, now))
    unsent = [row for row in rows if row["unsent_bytes"]]
    marks = {folder.name: "{}:{}".format(*mark.read(folder / "mark")) for folder in folders(spool)}
    total = {
        "segments": len(rows),
        "bytes": sum(int(str(row["bytes"])) for row in rows),
        "unsent_bytes": sum(int(str(row["unsent_bytes"])) for row in rows),
        "oldest_unsent_s": max((float(str(row["age_s"])) for row in unsent), default=0.0),
        "marks": marks,
    }
    if json:
        for row in [*rows, {"total": total}]:
            out.write(orjson.dumps(row).decode() + "\n")
        return 0
    out.write(f"{'worker':>6} {'segment':>12} {'bytes':>14} {'unsent':>14} {'written':>12}\n")
    for row in rows:
        line = f"{row['worker']:>6} {row['segment']:>12} {row['bytes']:>14,} {row['unsent_bytes']:>14,}"
        out.write(f"{line} {row['age_s']:>8} s ago\n")
    for worker, acknowledged in marks.items():
        out.write(f"{worker:>6} {acknowledged:>12} mark: Kafka has acknowledged everything before it\n")
    line = f"{total['segments']} segments, {total['bytes']:,} bytes, {total['unsent_bytes']:,} of them unsent"
    out.write(f"{line}, oldest unsent {total['oldest_unsent_s']} s\n")
    return 0


def cat(spool: Path, out: IO[bytes], *, unsent: bool) -> int:
    """Print hits as JSON lines, worker by worker, oldest first; `unsent`: only those that Kafka lacks. Return 0."""
    for folder in folders(spool):
        acknowledged = mark.read(folder / "mark")
        for number, path in segments_in(folder).items():

            def each(payload: bytes, end: int, number: int = number, acknowledged: Position = acknowledged) -> None:
                if not unsent or Position(number, end) > acknowledged:
                    out.write(payload + b"\n")

            try:
                read_segment(path, each, SegmentCounts())
            except FileNotFoundError:
                continue
    return 0


def verify(spool: Path, out: IO[str]) -> int:
    """Check every block's CRC and every hit's form; print the damage. Return 0, or 1 if there is any."""
    hits = wrong = 0
    for folder in folders(spool):
        for path in segments_in(folder).values():
            read = SegmentCounts()

            def each(payload: bytes, end: int, read: SegmentCounts = read) -> None:
                try:
                    contract.decode(payload)
                except msgspec.DecodeError:
                    read.unreadable += 1

            try:
                read_segment(path, each, read)
            except FileNotFoundError:
                continue
            hits += read.hits
            if read.damaged_bytes or read.unreadable:
                wrong += 1
                out.write(
                    f"{path}: {read.damaged_stretches} damaged stretches, {read.damaged_bytes} bytes;"
                    f" {read.unreadable} records that are not hits\n"
                )
        for damage in sorted((folder / "damage").glob("*.bin")):
            out.write(f"{damage}: {damage.stat().st_size} bytes set aside earlier\n")
    out.write(f"{hits} hits, {wrong} segments with damage\n")
    return 1 if wrong else 0


def main(argv: Sequence[str], spool_dir: str) -> int:
    """Run the command; return the exit code: 0, 1 if `verify` finds damage, 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m collector spool", description="Inspect the spool. The command only reads."
    )
    version.add_option(parser)
    about_dir = f"the spool's folder (default: the setting, {spool_dir})"
    parser.add_argument("--dir", default=spool_dir, help=about_dir)
    commands = parser.add_subparsers(dest="command")
    listing = add_command(commands, "list", "segments with their bytes, unsent bytes and age (the default)")
    listing.add_argument("--json", action="store_true", help="print one JSON object a line")
    cats = add_command(commands, "cat", "print hits as JSON lines")
    cats.add_argument("--unsent", action="store_true", help="only those that Kafka has not acknowledged")
    verifying = add_command(commands, "verify", "check every block and hit; exit 1 if anything is damaged")
    for each in (listing, cats, verifying):
        # No default here: it would replace a --dir that is given before the command.
        each.add_argument("--dir", default=argparse.SUPPRESS, help=about_dir)
    try:
        given = parser.parse_args(argv)
    except SystemExit as asked:
        return int(asked.code or 0)
    spool = Path(given.dir)
    if not spool.is_dir():
        print(f"{spool}: no such folder (PHAROS_COLLECTOR_SPOOL_DIR, or --dir)", file=sys.stderr)
        return 2
    try:
        match given.command:
            case "cat":
                code = cat(spool, sys.stdout.buffer, unsent=given.unsent)
            case "verify":
                code = verify(spool, sys.stdout)
            case _:
                code = list_segments(spool, sys.stdout, json=getattr(given, "json", False), now=time.time())
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has closed the pipe (`| head`). The interpreter must not fail on it at its end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code
