"""Quantities with units, and which settings take them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage.settings import SettingError, Settings, load
from stage.units import hint, in_unit_of
from tests.stage.test_settings import PROGRAMS


@pytest.mark.parametrize(
    ("field", "text", "plain"),
    [
        ("spool_bytes", "10GB", "10000000000"),
        ("spool_bytes", "4 GiB", "4294967296"),
        ("spool_bytes", "1.5kib", "1536"),
        ("spool_bytes", "7B", "7"),
        ("spool_bytes", "7", "7"),
        ("linger_ms", "5s", "5000"),
        ("linger_ms", "1min", "60000"),
        ("grace_s", "500ms", "0.5"),
        ("grace_s", "2h", "7200"),
        ("max_event_age_h", "3d", "72"),
        ("retention_days", "36h", "1.5"),
    ],
)
def test_a_quantity_becomes_a_number_in_the_unit_of_the_field(field: str, text: str, plain: str) -> None:
    assert in_unit_of(field, text) == plain


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("spool_bytes", "5s"),  # not a size
        ("linger_ms", "5GB"),
        ("inserts_per_s", "5s"),  # a rate, not a time
        ("workers", "5s"),
        ("spool_bytes", "-5GB"),
        ("spool_bytes", "GB"),
        ("spool_bytes", "1e3GB"),
        ("spool_bytes", "9" * 5000 + "GB"),
        ("group", "5s"),
    ],
)
def test_what_does_not_fit_is_left_as_it_is(field: str, text: str) -> None:
    assert in_unit_of(field, text) == text


@given(st.sampled_from(["spool_bytes", "linger_ms", "grace_s", "max_event_age_h", "group"]), st.text())
def test_any_text_gives_a_text(field: str, text: str) -> None:
    assert isinstance(in_unit_of(field, text), str)


@given(st.integers(0, 10**15))
def test_a_number_of_bytes_stays_exact(number: int) -> None:
    assert in_unit_of("spool_bytes", f"{number}KB") == str(number * 1000)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__module__)
def test_every_setting_with_a_unit_is_a_number(program: type[Settings]) -> None:
    for field in msgspec.structs.fields(program):
        if hint(field.name):
            kind = msgspec.inspect.type_info(field.type)
            plain = kind.type if isinstance(kind, msgspec.inspect.Metadata) else kind
            assert isinstance(plain, msgspec.inspect.IntType | msgspec.inspect.FloatType), field.name


def test_the_loader_takes_units_and_names_them() -> None:
    program = PROGRAMS[0]
    environ = {"PHAROS_COLLECTOR_SITES": "sites.toml"}
    read = load(program, environ | {"PHAROS_COLLECTOR_SPOOL_BYTES": "10GB", "PHAROS_COLLECTOR_GRACE_S": "500ms"})
    assert (getattr(read, "spool_bytes", 0), getattr(read, "grace_s", 0)) == (10_000_000_000, 0.5)
    with pytest.raises(SettingError) as caught:
        load(program, environ | {"PHAROS_COLLECTOR_SPOOL_BYTES": "10 gigs"})
    assert str(caught.value) == (
        "PHAROS_COLLECTOR_SPOOL_BYTES: must be a whole number of at least 0, or with a unit, such as 512MiB or 10GB"
    )
