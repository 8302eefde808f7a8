"""docs/settings.md names every setting; `make check` compares it with the programs."""

import importlib
from typing import ClassVar

import msgspec
import pytest

from stage.settings import Settings
from tests.deploy import settings_page
from tests.stage.test_settings import PROGRAMS


class Undocumented(Settings, frozen=True, kw_only=True):
    PREFIX: ClassVar[str] = "EXAMPLE_"

    first: str = ""
    """The first."""
    second: str = ""


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__module__)
def test_every_setting_is_on_the_page(program: type[Settings]) -> None:
    text = settings_page.page()
    for field in msgspec.structs.fields(program):
        variable = program.variable(field.name)
        shared = variable.replace(program.PREFIX, "PHAROS_STAGE_")
        assert f"| `{variable}` |" in text or f"| `{shared}` |" in text


def test_a_setting_without_a_docstring_is_named() -> None:
    with pytest.raises(ValueError, match="second has no docstring"):
        settings_page.documented(Undocumented)


def test_no_path_of_this_machine_is_on_the_page() -> None:
    assert str(settings_page.ROOT) not in settings_page.page()


@pytest.mark.parametrize("stage", ["collector", "enricher", "sink", "forward"])
def test_the_example_of_a_plain_host_is_accepted(stage: str) -> None:
    lines = (settings_page.ROOT / f"deploy/systemd/{stage}.env.example").read_text().splitlines()
    environ = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    if stage == "collector":
        environ["PHAROS_COLLECTOR_SITES"] = "/etc/pharos/sites.toml"  # the unit sets it
    package = "sink" if stage == "forward" else stage
    settings = importlib.import_module(f"{package}.settings").read(environ)
    assert settings.kafka_security == "SASL_SSL"
