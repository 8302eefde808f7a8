"""What the command lines have in common."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_command(
    commands: "Commands", name: str, text: str, parents: Sequence[argparse.ArgumentParser] = ()
) -> argparse.ArgumentParser:
    """Add a command. `text` says what it does: in the list of commands, and as a sentence in the command's own help."""
    return commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=parents)
