"""docs/openapi.yaml is valid, says what the code knows, and the running collector keeps to it."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import validate
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from collector.contract.fields import TABLE
from collector.policy.refusal import Refusal
from tests.collector import scale
from tests.collector.running import Running
from tests.collector.surface import SITES, TOKEN

TEXT = (Path(__file__).parents[3] / "docs" / "openapi.yaml").read_text()
EXAMPLES = scale.of(small=12, full=500)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def document() -> Any:
    return yaml.safe_load(TEXT)


def test_the_document_is_valid() -> None:
    validate(document())


def test_the_document_says_what_the_code_knows() -> None:
    schemas = document()["components"]["schemas"]
    page, server = (set(schemas[name]["properties"]) for name in ("PageEvent", "ServerEvent"))
    assert page == {*(field.name for field in TABLE if not field.server_only), "props"}
    assert server == {*(field.name for field in TABLE), "props"}
    only_of_links = {Refusal.BAD_SIGNATURE, Refusal.UNKNOWN_LINK}
    assert set(schemas["Reason"]["enum"]) == set(Refusal) - only_of_links


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("path", ["/e", "/v1/events"])
async def test_the_collector_keeps_to_it(
    collector: Callable[..., Running], path: str, mode: GenerationMode, capsys: pytest.CaptureFixture[str]
) -> None:
    running = collector(kafka="127.0.0.1:1", drain_s=0.1)
    (running.folder / "sites.toml").write_text(SITES)
    await running.start()
    told = document()
    del told["paths"]["/e"]["post"]["requestBody"]["content"]["text/plain"]  # any text at all
    for name in ("PageEvent", "ServerEvent"):
        fields = told["components"]["schemas"][name]["properties"]
        # What a description cannot say: which sites there are, what time it is, how addresses are written.
        fields["site"]["enum"] = ["shop"]
        del fields["time"]
        fields.get("ip", {})["enum"] = ["203.0.113.9", "2001:db8::1"]
    told["components"]["parameters"]["ContentEncoding"]["schema"]["enum"] = ["identity"]
    operation = schemathesis.openapi.from_dict(told)[path]["POST"]
    statuses: Counter[int] = Counter()

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"} if path == "/v1/events" else {}
        answer = case.call(base_url=running.url, headers=headers, timeout=10)
        statuses[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    await asyncio.to_thread(ask)
    with capsys.disabled():
        print(f"\n{path} {mode.value}: {dict(sorted(statuses.items()))}")
    assert statuses.keys() <= ({202} if mode is GenerationMode.POSITIVE else {202, 400, 401, 403, 413})
    assert "Traceback" not in running.program.output()
