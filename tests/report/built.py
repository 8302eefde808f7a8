"""Compare the report's built page with what its source builds to: `python -m tests.report.built [--write]`."""

import sys
from pathlib import Path

from tests.tag.built import build

FOLDER = Path(__file__).parents[2] / "deploy" / "report"

if __name__ == "__main__":
    sys.exit(build(FOLDER, sys.argv[1:]))
