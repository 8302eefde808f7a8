"""edge/tls.conf with a certificate of our own, in front of the real collector: TLS 1.2 and 1.3, HTTP/1.1 and HTTP/2."""

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.commands import doctor, doctor_findings, doctor_requests
from tests import needs
from tests.certificates import Certificates
from tests.deploy import edges
from tests.deploy.test_edge import Collector
from tests.processes import Program
from tests.waiting import until

NAME = "px.example.com"


class Client:
    """curl, which takes the server's name for an address of this machine, and trusts this run's authority alone."""

    def __init__(self, certificates: Certificates, secure: int, plain: int) -> None:
        self._always = ["--cacert", str(certificates.authority)]
        for port in (secure, plain):
            self._always += ["--resolve", f"{NAME}:{port}:127.0.0.1"]
        self.base = f"https://{NAME}:{secure}"
        self.plain = f"http://{NAME}:{plain}"

    def get(self, path: str, *options: str, base: str = "") -> tuple[str, str]:
        """Return the HTTP version and status as curl tells them, and the answer's head."""
        curl = needs.program("curl", "curl")
        tell = ["--silent", "--show-error", "--max-time", "20", "-o", "/dev/null", "-D", "/dev/stderr"]
        command = [
            curl,
            *tell,
            "-w",
            "%{http_version} %{http_code}",
            *self._always,
            *options,
            (base or self.base) + path,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return done.stdout, done.stderr.lower()


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.fixture
async def client(tmp_path: Path, start: Callable[..., Program], certificates: Certificates) -> Client:
    collector = Collector(tmp_path / "collector", start)
    binary, http3 = edges.modern_nginx()
    secure, plain = edges.tls(tmp_path, certificates, http3=http3)
    _, program = edges.nginx(tmp_path, start, [collector.port], binary)
    await collector.up()
    found = Client(certificates, secure, plain)

    def answers() -> bool:
        assert program.running, program.output()
        return found.get("/robots.txt")[0].endswith("200")

    await until(answers, "nginx's first answer")
    return found


async def test_the_collector_behind_tls(client: Client) -> None:
    for options, version in (("--http2", "2"), ("--http1.1", "1.1"), ("--tls-max 1.2", "2"), ("--tlsv1.3", "2")):
        told, head = client.get("/p.gif?s=demo", *options.split(), "--cookie", "session=secret")
        assert told == f"{version} 200", (options, head)
        assert "x-pharos: accepted" in head
        assert "strict-transport-security: max-age=31536000" in head
        (cookie,) = (line for line in head.splitlines() if line.startswith("set-cookie: _pid="))
        assert "secure" in cookie
        assert "httponly" in cookie
    told, head = client.get("/t.js")
    assert (told, "strict-transport-security" in head) == ("2 200", True), "a location of its own loses no header"
    told, _ = client.get("/e", "--json", '{"site": "demo", "event": "signup"}')
    assert told == "2 202"


async def test_what_is_old_or_in_the_clear_is_turned_away(client: Client) -> None:
    told, words = client.get("/p.gif?s=demo", "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0")
    assert told.endswith("000"), words
    told, head = client.get("/p.gif?s=demo", base=client.plain)
    assert told == "1.1 308"
    assert f"location: https://{NAME}/p.gif?s=demo" in head


async def test_the_doctor_looks_through_tls(
    client: Client, certificates: Certificates, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tests' certificate lives for two days, which the doctor minds, and nothing else."""
    url = client.base.replace(NAME, "localhost")
    seen = await doctor_requests.look(url, "demo", "", "", str(certificates.authority))
    assert seen.tls is not None
    assert (seen.tls.version, seen.tls.protocol, 1 < seen.tls.days_left <= 2) == ("TLSv1.3", "h2", True)
    bad = [finding.says for finding in doctor_findings.judge(seen) if finding.level == "bad"]
    assert len(bad) == 1, bad
    assert bad[0].startswith("the certificate ends in")
    ok = {finding.topic for finding in doctor_findings.judge(seen) if finding.level == "ok"}
    assert ok >= {"pixel", "cache", "cookie", "address", "refusals", "tag's way", "cors", "tag", "clock", "admin"}
    given = ["--url", url, "--site", "demo"]
    assert await asyncio.to_thread(doctor.main, given) == 1, "an authority that nobody knows"
    assert "certificate" in capsys.readouterr().err
    told: list[str] = []
    given += ["--ca", str(certificates.authority)]
    assert await asyncio.to_thread(doctor.main, given, lambda line: told.append(str(line))) == 1
    assert [line for line in told if line.startswith("bad")] == [line for line in told if "certificate ends" in line]
