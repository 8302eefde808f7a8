"""The admin port: alive, ready or not, and metrics with the version."""

from typing import ClassVar

import aiohttp
import orjson
import pytest

from stage import admin, log
from stage.settings import SettingError, StageSettings
from stage.version import VERSION


class Settings(StageSettings, frozen=True, kw_only=True):
    PREFIX: ClassVar[str] = "PHAROS_TEST_"


async def test_it_reports_life_readiness_metrics_and_the_version(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    reason = "waiting for Kafka"
    log.start("test", "json")

    async def metrics() -> bytes:
        return b"some_total 1\n"

    listening = await admin.serve(Settings(admin_port=0), lambda: reason, metrics)
    started = orjson.loads(capfdbinary.readouterr().err)
    assert (started["msg"], started["version"], started["admin_port"]) == ("starting", VERSION, listening.port)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{listening.port}") as http:

            async def get(path: str) -> tuple[int, str]:
                async with http.get(path) as answer:
                    return answer.status, await answer.text()

            assert await get("/healthz") == (200, "alive\n")
            assert await get("/readyz") == (503, "waiting for Kafka\n")
            reason = ""
            assert await get("/readyz") == (200, "ready\n")
            status, text = await get("/metrics")
            assert status == 200
            assert text.startswith("some_total 1\n")
            assert f'pharos_build_info{{version="{VERSION}",' in text
        with pytest.raises(
            SettingError,
            match=rf"\APHAROS_TEST_ADMIN_PORT: cannot listen on 127.0.0.1:{listening.port}: Address already in use\Z",
        ):
            await admin.serve(Settings(admin_port=listening.port), lambda: "", metrics)
    finally:
        await listening.close()
