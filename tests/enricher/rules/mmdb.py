"""Write a small MMDB file: IPv4 networks in a tree of 24-bit records, as the MaxMind DB format 2.0 lays it out."""

from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

MARKER: Final = b"\xab\xcd\xefMaxMind.com"
Value = str | int | dict[str, "Value"] | list["Value"]


_KINDS: Final = {"node_count": 6, "build_epoch": 9}
"""Type numbers of the metadata's integers; the others are unsigned of 16 bits (5)."""


def _encoded(value: Value, integer: int = 5) -> bytes:
    """Encode a value of the data section: UTF-8 text, unsigned integer, map, array."""
    if isinstance(value, str):
        raw = value.encode()
        return _control(2, len(raw)) + raw
    if isinstance(value, int):
        raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
        return _control(integer, len(raw)) + raw
    if isinstance(value, dict):
        pairs = [_encoded(key) + _encoded(each, _KINDS.get(key, 5)) for key, each in value.items()]
        return _control(7, len(value)) + b"".join(pairs)
    return _control(11, len(value)) + b"".join(_encoded(each) for each in value)


def _control(kind: int, size: int) -> bytes:
    assert size < 29, "enough for tests"
    return bytes([kind << 5 | size]) if kind < 8 else bytes([size, kind - 7])


def write(path: Path, networks: dict[str, Value]) -> None:
    """Write `path`: each network leads to its record."""
    nodes: list[list[int | bytes | None]] = [[None, None]]
    data = b""
    for text, record in networks.items():
        network = IPv4Network(text)
        at = 0
        for depth in range(network.prefixlen):
            side = int(network.network_address) >> (31 - depth) & 1
            if depth == network.prefixlen - 1:
                nodes[at][side] = len(data).to_bytes(4, "big")
            elif nodes[at][side] is None:
                nodes.append([None, None])
                nodes[at][side] = len(nodes) - 1
                at = len(nodes) - 1
            else:
                at = int(nodes[at][side])  # type: ignore[arg-type]
        data += _encoded(record)
    tree = b""
    for node in nodes:
        for side_value in node:
            if side_value is None:
                number = len(nodes)
            elif isinstance(side_value, bytes):
                number = len(nodes) + 16 + int.from_bytes(side_value, "big")
            else:
                number = side_value
            tree += number.to_bytes(3, "big")
    metadata: dict[str, Value] = {
        "node_count": len(nodes),
        "record_size": 24,
        "ip_version": 4,
        "database_type": "Test",
        "languages": ["en"],
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1_795_334_400,
        "description": {"en": "test"},
    }
    path.write_bytes(tree + bytes(16) + data + MARKER + _encoded(metadata))
