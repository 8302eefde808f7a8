"""The version of Pharos: for `--version`, for the log, for metrics and reports."""

import argparse
import platform
from typing import Final

VERSION: Final = "0.1.0"

LINE: Final = f"pharos {VERSION}, Python {platform.python_version()}"
"""What `--version` prints."""

BUILD_INFO: Final = (
    "# HELP pharos_build_info Always 1; the labels have the version. Instances differ: an upgrade is not complete.\n"
    "# TYPE pharos_build_info gauge\n"
    f'pharos_build_info{{version="{VERSION}",python="{platform.python_version()}"}} 1\n'
)
"""The metric of every stage that has its version, in Prometheus' text format."""


def add_option(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the option `--version`, which prints LINE and exits with 0."""
    parser.add_argument("--version", action="version", version=LINE, help="show the version")
