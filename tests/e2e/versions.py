"""Code of other versions: the newest release, from git's history, and a made-up next one that adds to each contract."""

import subprocess
from pathlib import Path
from typing import Final

from tests import needs

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("stage", "collector", "enricher", "sink")
FIRST: Final = "de3d1be234b7c20407468ebb29f54456dd73a2b2"
"""The commit of v0.1.0, for a clone without tags."""


def released(folder: Path) -> str:
    """Put the packages and golden records of the newest release before this commit into `folder`; return its name."""
    described = _git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*")
    name = described.stdout.decode().strip() if described.returncode == 0 else FIRST
    packed = _git("archive", name, *PACKAGES, "tests/contracts")
    if packed.returncode:
        needs.missing(f"git has no {name}: git fetch --unshallow --tags ({packed.stderr.decode().strip()[:200]})")
    folder.mkdir(parents=True, exist_ok=True)
    # Python's own module unpacks safely from 3.11.4 on only.
    subprocess.run([needs.program("tar", "tar"), "-x", "-C", str(folder)], input=packed.stdout, check=True)
    return name


def following(folder: Path) -> None:
    """Put a version into `folder` whose hits have a field more, and whose rows and tables have a column more."""
    for package in PACKAGES:
        files = [path for path in _git("ls-files", package).stdout.decode().splitlines() if (ROOT / path).is_file()]
        for path in files:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes((ROOT / path).read_bytes())
    _replace(folder / "collector/policy/outcome.py", 'b"".join(parts)', 'b"".join(parts)[:-1] + b\',"next":"hit"}\'')
    _replace(
        folder / "enricher/row/encode.py", "_encode_into(columns, _line)", '_encode_into((*columns, "row"), _line)'
    )
    _replace(folder / "enricher/contract.py", "\n\n\nCOLUMNS: Final", '\n    next: str = ""\n\n\nCOLUMNS: Final')
    schema = folder / "sink/schema"
    number = len(list(schema.glob("*.sql"))) + 1
    (schema / f"{number:04}_next.sql").write_text(
        "ALTER TABLE pharos.event_log ADD COLUMN IF NOT EXISTS next String;\n"
        "ALTER TABLE pharos.event_rows ADD COLUMN IF NOT EXISTS next String;\n"
        "ALTER TABLE pharos.event_rows_feed MODIFY QUERY SELECT * FROM pharos.event_rows;\n"
    )


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{path}: {old!r} is there {text.count(old)} times"
    path.write_text(text.replace(old, new))


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    git = needs.program("git", "git")
    # A clone that belongs to another user, as in a container, is read all the same.
    return subprocess.run([git, "-c", "safe.directory=*", *arguments], cwd=ROOT, capture_output=True, check=False)
