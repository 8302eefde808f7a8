"""Kafka under TLS and SASL, ClickHouse under TLS, secrets from files: the whole way, and nothing of it in a log."""

import asyncio
import base64
import contextlib
import importlib
import json
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stage.kafka import access as stage_access
from tests.brokers import ApacheKafka, unique
from tests.certificates import Certificates
from tests.clickhouse import ClickHouse
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until

ROOT = Path(__file__).parents[2]
MECHANISMS = ("PLAIN", "SCRAM-SHA-512", "OAUTHBEARER", "SCRAM-SHA-256")
SECRETS = {"PLAIN": "plain-s3cret", "SCRAM-SHA-512": "scram-s3cret", "SCRAM-SHA-256": "scram-256-s3cret"}


class SecureKafka(ApacheKafka):
    """As the other, with a listener under SASL_SSL and one that wants a certificate; the plain one is for the tests."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        super().__init__(folder)
        self.secure_port, self.certified_port = free_port(), free_port()
        self._certificates = certificates

    def _run_java(self, *arguments: str) -> Program:
        if arguments[0] == "kafka.tools.StorageTool":
            self._secure(Path(arguments[-1]))
            for name in ("SCRAM-SHA-512", "SCRAM-SHA-256"):
                arguments += ("--add-scram", f"{name}=[name=pharos,password={SECRETS[name]}]")
        return super()._run_java(*arguments)

    def _secure(self, settings: Path) -> None:
        """Add what makes the second listener; of two lines with one name the later counts."""
        modules = {
            "plain": f'plain.PlainLoginModule required user_pharos="{SECRETS["PLAIN"]}"',
            "scram-sha-512": "scram.ScramLoginModule required",
            "scram-sha-256": "scram.ScramLoginModule required",
            "oauthbearer": "oauthbearer.OAuthBearerLoginModule required",
        }
        lines = [
            f"listeners=BROKER://127.0.0.1:{self.port},SECURE://127.0.0.1:{self.secure_port},"
            f"CERTIFIED://127.0.0.1:{self.certified_port},CONTROLLER://127.0.0.1:{self.controller_port}",
            f"advertised.listeners=BROKER://127.0.0.1:{self.port},SECURE://localhost:{self.secure_port},"
            f"CERTIFIED://localhost:{self.certified_port}",
            "listener.security.protocol.map=BROKER:PLAINTEXT,SECURE:SASL_SSL,CERTIFIED:SSL,CONTROLLER:PLAINTEXT",
            "listener.name.certified.ssl.client.auth=required",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={self._certificates.authority}",
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={self._certificates.pair}",
            "listener.name.secure.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512,SCRAM-SHA-256,OAUTHBEARER",
        ]
        for name, module in modules.items():
            jaas = f"org.apache.kafka.common.security.{module};"
            lines.append(f"listener.name.secure.{name}.sasl.jaas.config={jaas}")
        with settings.open("a") as file:
            file.write("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[SecureKafka]:
    broker = SecureKafka(tmp_path_factory.mktemp("kafka"), certificates)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
async def https(clickhouse: ClickHouse, certificates: Certificates) -> AsyncIterator[str]:
    """The ClickHouse endpoint behind TLS, as a load balancer would put it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.pair)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", clickhouse.port)
        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield f"https://localhost:{server.sockets[0].getsockname()[1]}"
    server.close()


def token() -> str:
    """Return a token as Kafka's own unsecured validator takes it."""

    def part(text: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(text).encode()).rstrip(b"=").decode()

    claims = {"sub": "pharos", "iat": time.time() - 10, "exp": time.time() + 3600}
    return f"{part({'alg': 'none'})}.{part(claims)}."


def secured(stage: str, mechanism: str, kafka: SecureKafka, folder: Path, authority: Path) -> dict[str, str]:
    """Return the settings of a stage, the secret in a file."""
    prefix = f"PHAROS_{stage.upper()}_KAFKA"
    secret = folder / f"{stage}.secret"
    env = {
        prefix: f"localhost:{kafka.secure_port}",
        f"{prefix}_SECURITY": "SASL_SSL",
        f"{prefix}_CA": str(authority),
        f"{prefix}_MECHANISM": mechanism,
    }
    if mechanism == "OAUTHBEARER":
        secret.write_text(token() + "\n")
        return env | {f"{prefix}_TOKEN_PATH": str(secret)}
    secret.write_text(SECRETS[mechanism] + "\n")
    return env | {f"{prefix}_USER": "pharos", f"{prefix}_PASSWORD_FILE": str(secret)}


def access(stage: str, env: dict[str, str]) -> dict[str, Any]:
    """Return what the stage gives to aiokafka."""
    if stage == "collector":
        env = env | {"PHAROS_COLLECTOR_SITES": "sites.toml"}
    settings = importlib.import_module(f"{stage}.settings")
    return stage_access(settings.read(env))


async def known(port: int, access: dict[str, Any]) -> bool:
    """Tell whether Kafka lets a producer in."""
    producer = AIOKafkaProducer(bootstrap_servers=f"localhost:{port}", request_timeout_ms=10_000, **access)
    try:
        await producer.start()
    except KafkaError:
        return False
    finally:
        await producer.stop()
    return True


STAGES = ("collector", "enricher", "sink")


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_every_mechanism_lets_in_who_knows_the_secret(
    stage: str, mechanism: str, kafka: SecureKafka, certificates: Certificates, tmp_path: Path
) -> None:
    env = secured(stage, mechanism, kafka, tmp_path, certificates.authority)
    assert await known(kafka.secure_port, access(stage, env))
    (tmp_path / f"{stage}.secret").write_text("something else\n")
    assert not await known(kafka.secure_port, access(stage, env))


@pytest.mark.parametrize("stage", STAGES)
async def test_a_certificate_lets_in_who_has_one(stage: str, kafka: SecureKafka, certificates: Certificates) -> None:
    prefix = f"PHAROS_{stage.upper()}_KAFKA"
    env = {f"{prefix}_SECURITY": "SSL", f"{prefix}_CA": str(certificates.authority)}
    assert not await known(kafka.certified_port, access(stage, env))
    apart = {f"{prefix}_CERTIFICATE": str(certificates.signed), f"{prefix}_KEY": str(certificates.key)}
    assert await known(kafka.certified_port, access(stage, env | apart))
    assert await known(kafka.certified_port, access(stage, env | {f"{prefix}_CERTIFICATE": str(certificates.pair)}))


ROTATIONS = range(len(MECHANISMS) if os.environ.get("PHAROS_TEST_SCALE") == "full" else 1)


@pytest.mark.parametrize("rotation", ROTATIONS)
async def test_the_whole_way_encrypted_and_known_by_name(
    rotation: int,
    kafka: SecureKafka,
    certificates: Certificates,
    https: str,
    clickhouse: ClickHouse,
    tmp_path: Path,
    start: Callable[..., Program],
) -> None:
    """Each stage with another mechanism; a hit becomes a row; no log knows a secret."""
    raw, enriched, dead = unique("raw"), unique("enriched"), unique("dead")
    await kafka.create_topics(raw, enriched, dead, partitions=1)
    port = free_port()
    own = {
        "collector": {
            "PORT": str(port),
            "SITES": str(ROOT / "deploy/local/sites.toml"),
            "SPOOL_DIR": str(tmp_path / "spool"),
            "TOPIC_RAW": raw,
        },
        "enricher": {"TOPIC_RAW": raw, "TOPIC_ENRICHED": enriched, "TOPIC_DEAD": dead, "GROUP": unique("enricher")},
        "sink": {
            "TOPIC_ENRICHED": enriched,
            "TOPIC_DEAD": dead,
            "GROUP": unique("sink"),
            "CLICKHOUSE": https,
            "CLICKHOUSE_CA": str(certificates.authority),
        },
    }
    programs = []
    for number, (stage, settings) in enumerate(own.items()):
        mechanism = MECHANISMS[(number + rotation) % len(MECHANISMS)]
        env = {f"PHAROS_{stage.upper()}_{name}": value for name, value in settings.items()}
        env |= secured(stage, mechanism, kafka, tmp_path, certificates.authority)
        env[f"PHAROS_{stage.upper()}_ADMIN_PORT"] = str(free_port())
        programs.append(start([sys.executable, "-m", stage], env=env, cwd=ROOT))
    async with aiohttp.ClientSession() as http:
        page = f"https://demo.example/{unique('page')}"

        async def accepted() -> bool:
            assert all(program.running for program in programs), "\n".join(program.output() for program in programs)
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(f"http://127.0.0.1:{port}/p.gif", params={"s": "demo", "u": page}) as answer:
                    return answer.headers["X-Pharos"] == "accepted"
            return False

        await until(accepted, "the collector's answer")

        async def stored() -> bool:
            sql = f"SELECT count() FROM pharos.events WHERE url = '{page}'"
            async with http.post(clickhouse.url, data=sql) as answer:
                return (await answer.text()).strip() == "1"

        await until(stored, "the row")
    said = "\n".join(program.output() for program in programs)
    for secret in (*SECRETS.values(), (tmp_path / "sink.secret").read_text().strip()):
        assert secret not in said


@pytest.mark.parametrize("stage", ["collector", "enricher", "sink"])
class TestSettings:
    """A message names the setting that is missing or wrong, and contains no secret."""

    def access(self, stage: str, **given: str) -> dict[str, Any]:
        return access(stage, {f"PHAROS_{stage.upper()}_{name}": value for name, value in given.items()})

    def test_plain_by_default(self, stage: str) -> None:
        assert self.access(stage) == {"security_protocol": "PLAINTEXT"}

    def test_a_secret_may_come_from_a_file(self, stage: str, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("pass word \n")
        found = self.access(
            stage, KAFKA_SECURITY="SASL_PLAINTEXT", KAFKA_USER="u", KAFKA_PASSWORD_FILE=str(tmp_path / "secret")
        )
        assert found["sasl_plain_password"] == "pass word "

    @pytest.mark.parametrize(
        ("given", "named"),
        [
            ({"KAFKA_PASSWORD_FILE": "/nowhere"}, "KAFKA_PASSWORD_FILE: cannot read '/nowhere'"),
            ({"KAFKA_PASSWORD_FILE": "/dev/null", "KAFKA_PASSWORD": "x"}, "KAFKA_PASSWORD is set too"),
            ({"KAFKA_SECURITY": "SASL_SSL"}, "KAFKA_USER: must be set"),
            ({"KAFKA_SECURITY": "SASL_SSL", "KAFKA_USER": "pharos"}, "KAFKA_PASSWORD: must be set"),
            ({"KAFKA_SECURITY": "TLS"}, "KAFKA_SECURITY"),
            ({"KAFKA_SECURITY": "SSL", "KAFKA_CA": "/nowhere"}, "KAFKA_CA: /nowhere"),
            ({"KAFKA_SECURITY": "SSL", "KAFKA_CERTIFICATE": "/nowhere"}, "KAFKA_CERTIFICATE: /nowhere"),
            ({"KAFKA_SECURITY": "SASL_SSL", "KAFKA_MECHANISM": "OAUTHBEARER"}, "KAFKA_TOKEN_PATH"),
            ({"NOPE_FILE": "/dev/null"}, "NOPE_FILE"),
        ],
    )
    def test_what_is_wrong_is_named(self, stage: str, given: dict[str, str], named: str) -> None:
        with pytest.raises(ValueError, match=named) as refused:
            self.access(stage, **given)
        assert f"PHAROS_{stage.upper()}_" in str(refused.value)
        assert "\n" not in str(refused.value)
