"""The QR code of a link, as a file."""

import sys
from pathlib import Path

import segno


def write_qr(link: str, path: Path) -> bool:
    """Write the code as PNG or SVG, by the file's ending; return False, with the reason on stderr, if it cannot be."""
    try:
        segno.make(link, error="m", micro=False).save(str(path), scale=8, border=4)
    except (OSError, ValueError) as problem:
        print(f"{path}: {problem}", file=sys.stderr)
        return False
    return True
