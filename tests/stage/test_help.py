"""`--help` of every command says what it does, and what each of its options does."""

import argparse
import importlib
import inspect
import os
import sys
from collections.abc import Iterator

import pytest

COMMANDS = [
    "collector.commands.doctor",
    "collector.commands.link",
    "collector.commands.mail_pixel",
    "collector.commands.salt",
    "collector.commands.spool",
    "enricher.__main__",
    "sink.__main__",
    "loadtest.__main__",
    "loadtest.demo",
    "loadtest.bench.__main__",
    "loadtest.bench.enricher_memory",
    "loadtest.bench.schema",
    "deploy.native",
    "deploy.local.__main__",
    "deploy.local.clickhouse.__main__",
]


class Parsed(Exception):
    """The parser as it was when the program asked it for its arguments."""


def parser_of(module: str, monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    """Return the parser that a module's `main` builds."""

    def stop(self: argparse.ArgumentParser, *_: object, **__: object) -> None:
        raise Parsed(self)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.setattr(sys, "argv", [module])
    main = importlib.import_module(module).main
    given = {"argv": [], "arguments": [], "environ": os.environ, "spool_dir": "spool", "show": print}
    parameters = inspect.signature(main).parameters.values()
    with pytest.raises(Parsed) as caught:
        main(*(given[each.name] for each in parameters if each.default is each.empty))
    parser: argparse.ArgumentParser = caught.value.args[0]
    return parser


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser and those of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                if command.add_help:  # the others are passed on to a module of their own
                    yield from parsers(command)
                assert name in [each.dest for each in action._choices_actions if each.help], name


@pytest.mark.parametrize("module", COMMANDS)
def test_every_option_is_explained(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for parser in parsers(parser_of(module, monkeypatch)):
        assert parser.description, parser.prog
        assert not parser.description.startswith("`"), parser.prog
        assert parser.description.rstrip().endswith("."), parser.description
        for action in parser._actions:
            if not isinstance(action, argparse._SubParsersAction):
                assert action.help, f"{parser.prog} {action.dest}"
        assert parser.format_help()
