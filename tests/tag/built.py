"""Compare the tag's built scripts with what their source builds to: `python -m tests.tag.built [--write]`.

Needs Node, which nothing else does: without it the check says so and passes, except where every test is required.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "tag"


def install(folder: Path) -> None:
    """Install a folder's locked npm packages, unless they are there."""
    installed = folder / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (folder / "package-lock.json").stat().st_mtime:
        subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True, timeout=300
        )


def build(folder: Path, arguments: list[str]) -> int:
    """Run a folder's `build.mjs`; return 0 where its built files are up to date, or were written."""
    if not (shutil.which("node") and shutil.which("npm")):
        print(f"{folder.name}: there is no Node here; the built files were not compared", file=sys.stderr)
        return int(os.environ.get("PHAROS_TEST_REQUIRE") == "all")
    install(folder)
    check = [] if "--write" in arguments else ["--check"]
    return subprocess.run(["node", "build.mjs", *check], cwd=folder, check=False, timeout=60).returncode


if __name__ == "__main__":
    sys.exit(build(FOLDER, sys.argv[1:]))
