"""What a test needs beyond Python: found, or the test skips with the reason.

`PHAROS_TEST_REQUIRE=all` turns every such skip into a failure, so that CI cannot pass by leaving things out.
"""

import os
import shutil
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip the test, or fail it where everything is required; `what` names the thing and how to get it."""
    if os.environ.get("PHAROS_TEST_REQUIRE") == "all":
        pytest.fail(f"required, but missing: {what}", pytrace=False)
    pytest.skip(what)


def program(name: str, package: str) -> str:
    """Return the path of the program `name`, which Debian's `package` installs."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    return path or missing(f"{name} is not installed (apt-get install {package})")
