"""How large the larger tests run: `PHAROS_TEST_SCALE=full`, or small by default."""

import os


def of(*, small: int, full: int) -> int:
    """Return the count for the scale of this run."""
    return full if os.environ.get("PHAROS_TEST_SCALE") == "full" else small
