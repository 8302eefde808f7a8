"""What the command lines have in common."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stage import version

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_command(
    commands: "Commands", name: str, text: str, parents: Sequence[argparse.ArgumentParser] = ()
) -> argparse.ArgumentParser:
    """Add a command with `--version`. `text` says what it does: in the list, and as a sentence in its help."""
    made = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=parents)
    version.add_option(made)
    return made
