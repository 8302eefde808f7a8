"""Compare the tag's built scripts with what their source builds to: `python -m tests.tag.built [--write]`.

Needs Node, which nothing else does: without it the check says so and passes, except where every test is required.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "tag"


def main(arguments: list[str]) -> int:
    """Return the exit code: 0 where the scripts are up to date, or were written."""
    if not (shutil.which("node") and shutil.which("npm")):
        print("tag: there is no Node here; the built scripts were not compared", file=sys.stderr)
        return int(os.environ.get("PHAROS_TEST_REQUIRE") == "all")
    installed = FOLDER / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (FOLDER / "package-lock.json").stat().st_mtime:
        subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=FOLDER, check=True, timeout=300
        )
    check = [] if "--write" in arguments else ["--check"]
    return subprocess.run(["node", "build.mjs", *check], cwd=FOLDER, check=False, timeout=60).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
