"""compose.live.yaml: its files fit together, and certificate.sh, serve.sh and live.conf serve, renew and reload."""

import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests import needs
from tests.certificates import Certificates
from tests.clickhouse import ClickHouse
from tests.deploy import edges
from tests.deploy.edges import DEPLOY
from tests.deploy.test_edge import Collector
from tests.ports import free_port
from tests.processes import Program
from tests.waiting import until


def live() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.live.yaml").read_text())
    return found


def test_everything_that_it_mounts_and_asks_for_is_there() -> None:
    services, base = live()["services"], yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert services.keys() - {"certificate"} <= base.keys()
    for service in services.values():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0] if not mount.startswith("$") else ""
            assert not source or source in live()["volumes"] or (DEPLOY / source).exists(), mount
    text = (DEPLOY / "compose.live.yaml").read_text() + (DEPLOY / "compose.yaml").read_text()
    asked = set(re.findall(r"\$\{(PHAROS_\w+)", text))
    given = set(re.findall(r"^(PHAROS_\w+)=", (DEPLOY / "live.env.example").read_text(), re.MULTILINE))
    assert asked == given


def der(pem: str) -> bytes:
    """Return a certificate's bytes, however its text is wrapped."""
    return ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN") :])


CERTBOT = """#!/bin/sh
# An authority in small: it asks for the challenge on port 80, as the real one does, and gives the file that is next.
echo "$@" >> {folder}/asked
[ "$(wc -l < {folder}/asked)" -gt 1 ] || exit 1
echo token > {webroot}/.well-known/acme-challenge/t
[ "$(curl -sf {edge}/.well-known/acme-challenge/t)" = token ] || exit 1
mkdir -p {folder}/live && cp {folder}/next/*.pem {folder}/live/
"""


class Host:
    """nginx and the two scripts on this machine's ports and folders."""

    def __init__(self, folder: Path, start: Callable[..., Program], collector: int) -> None:
        self.folder, self.secure, plain = folder, free_port(), free_port()
        for name in ("tls", "conf", "bin", "next", "www"):
            (folder / name).mkdir()
        binary, http3 = edges.modern_nginx()
        text = (DEPLOY / "edge/live.conf").read_text().replace("/tls/", f"{folder}/tls/")
        text = re.sub(r"^ *listen \[::\].*\n", "", text, flags=re.MULTILINE)
        if not http3:
            text = re.sub(r"^ *(listen 443 quic|http3 on|add_header Alt-Svc).*\n", "", text, flags=re.MULTILINE)
        text = text.replace("listen 443", f"listen 127.0.0.1:{self.secure}")
        text = text.replace("listen 80", f"listen 127.0.0.1:{plain}").replace("/var/www/acme", f"{folder}/www")
        conf = folder / "conf"
        # nginx.conf reads tls/*.conf; edges.nginx writes the other files, and tries it all, which needs a certificate.
        (conf / "tls").mkdir()
        (conf / "tls/live.conf").write_text(text.replace("/etc/nginx/", f"{conf}/"))
        (conf / "ops-locations.conf").write_text("location / { return 204; }\n")
        edge = f"http://127.0.0.1:{plain}"
        shutil.copy(binary, folder / "bin/nginx")
        self._script("certbot", CERTBOT.format(folder=folder, webroot=folder / "www", edge=edge))
        self._script("wget", '#!/bin/sh\nexec curl -sf -o /dev/null "$4"\n')
        env = {
            "PATH": f"{folder}/bin:/usr/sbin:/usr/bin:/bin",
            "NAMES": "px.example.com ops.example.com", "MAIL": "you@example.com", "EDGE": edge,
            "TLS": f"{folder}/tls", "WEBROOT": f"{folder}/www", "LIVE": f"{folder}/live",
            "RENEW_S": "0.2", "RETRY_S": "0.2", "WATCH_S": "0.1", "NGINX_GLOBALS": "user root;",
        }  # fmt: skip
        needs.program("curl", "curl")
        self.certificate = start(["/bin/sh", str(DEPLOY / "edge/certificate.sh")], env=env)
        self._start, self._env, self._collector, self._conf = start, env, collector, conf

    def _script(self, name: str, text: str) -> None:
        (self.folder / "bin" / name).write_text(text)
        (self.folder / "bin" / name).chmod(0o755)

    def serve(self) -> None:
        """Start nginx as compose.live.yaml does."""
        _, tried = edges.nginx(self._conf, self._start, [self._collector], str(self.folder / "bin/nginx"))
        tried.terminate(30)
        options = ["-c", str(self._conf / "nginx.conf"), "-p", str(self._conf), "-e", "stderr"]
        self.nginx = self._start(["/bin/sh", str(DEPLOY / "edge/serve.sh"), *options], env=self._env)

    def offer(self, certificates: Certificates) -> None:
        """Make this the certificate that the authority gives next."""
        shutil.copy(certificates.key, self.folder / "next/privkey.pem")
        shutil.copy(certificates.signed, self.folder / "next/fullchain.pem")

    def served(self) -> bytes | None:
        """Return the certificate that a browser is shown; None while nothing answers."""
        try:
            return der(ssl.get_server_certificate(("127.0.0.1", self.secure)))
        except OSError:
            return None


@pytest.fixture
async def host(tmp_path: Path, start: Callable[..., Program]) -> Host:
    collector = Collector(tmp_path / "collector", start)
    found = Host(tmp_path, start, collector.port)
    await until(lambda: (tmp_path / "tls/fullchain.pem").exists(), "the healthcheck of the service certificate")
    await collector.up()
    return found


async def test_a_certificate_comes_is_renewed_and_is_served_without_a_restart(host: Host, tmp_path: Path) -> None:
    made = []
    for number in range(2):
        (tmp_path / f"made{number}").mkdir()
        made.append(Certificates(tmp_path / f"made{number}"))
    host.offer(made[0])
    host.serve()
    first = None

    def starts() -> bool:
        nonlocal first
        assert host.nginx.running, host.nginx.output()
        first = first or host.served()
        return first is not None

    await until(starts, "nginx with the certificate of its own making")
    for certificates in made:
        host.offer(certificates)
        wanted = der(certificates.signed.read_text())

        def shown(wanted: bytes = wanted) -> bool:
            assert host.certificate.running, host.certificate.output()
            return host.served() == wanted

        await until(shown, f"the certificate of {certificates.signed}")
    assert "the next attempt is in" in host.certificate.output(), "the first attempt was refused"
    asked = (tmp_path / "asked").read_text().splitlines()[-1]
    assert "-d px.example.com -d ops.example.com" in asked
    assert (tmp_path / "tls/privkey.pem").stat().st_mode & 0o077 == 0
    async with aiohttp.ClientSession() as http:
        trust = ssl.create_default_context(cafile=str(made[1].authority))
        async with http.get(f"https://localhost:{host.secure}/p.gif?s=demo", ssl=trust) as answer:
            assert (answer.status, answer.headers["X-Pharos"]) == (200, "accepted")
        headers = {"Host": "ops.example.com"}
        url = f"https://localhost:{host.secure}/"
        async with http.get(url, ssl=trust, headers=headers, server_hostname="localhost") as answer:
            assert answer.status == 204


def test_the_scripts_are_plain_sh() -> None:
    for name in ("edge/certificate.sh", "edge/serve.sh"):
        subprocess.run(["/bin/sh", "-n", str(DEPLOY / name)], check=True, timeout=30)


DOCKER = """#!/bin/sh
# Notes the words of a call, each before a tab, and the end of it; a word may have several lines.
printf '%s\\t' "$@" >> "$NOTES"; printf '\\036' >> "$NOTES"
"""
GIT = """#!/bin/sh
mkdir pharos && cp -r "{deploy}" pharos/deploy
"""


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=DEPLOY.parent, capture_output=True, text=True, timeout=60, check=False)


def test_every_line_of_the_page_can_be_pasted(tmp_path: Path, clickhouse: ClickHouse) -> None:
    """docs/live.md from top to bottom in one shell, with a Docker that only notes what it is asked for."""
    page = (DEPLOY.parent / "docs/live.md").read_text()
    lines = "".join(re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    tools, notes, etc = tmp_path / "bin", tmp_path / "notes", tmp_path / "etc"
    tools.mkdir()
    for name, text in {"docker": DOCKER, "git": GIT.format(deploy=DEPLOY), "curl": "#!/bin/sh\n"}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    database = "dbip-city-lite.mmdb.gz"
    given = f"set -e\n{lines}".replace("gunzip -c", f"printf x | gzip > {database}; gunzip -c").replace(
        "/etc/pharos", str(etc)
    )
    env = {"PATH": f"{tools}:/usr/bin:/bin", "NOTES": str(notes)}
    done = subprocess.run(
        ["/bin/sh"], input=given, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (etc / "geo/country.mmdb").read_text() == "x"
    assert (tmp_path / "pharos/deploy/.env").exists()
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].keys() | live()["services"].keys()
    compose = ["compose", "--env-file", "deploy/.env", "-f", "deploy/compose.yaml", "-f", "deploy/compose.live.yaml"]
    asked = [call.rstrip("\t").split("\t") for call in notes.read_text().split("\x1e") if call]
    assert len(asked) >= 10
    ours = []
    for words in asked:
        if words[0] == "compose":
            assert words[:7] == compose
            named = [word for word in words[8:] if not word.startswith("-")]
            assert not named or named[0] in services, words
        if "python" in words:
            ours.append(words[words.index("-m") + 1 :])
    assert {words[1] for words in ours} == {"check", "doctor", "reset-offsets"}
    (script,) = [words[-1] for words in asked if words[-3:-1] == ["sh", "-c"]]
    (tools / "clickhouse-client").write_text('#!/bin/sh\nfor query in "$@"; do :; done; printf %s "$query"\n')
    (tools / "clickhouse-client").chmod(0o755)
    made = subprocess.run(["/bin/sh", "-c", script], env=env, capture_output=True, text=True, timeout=60, check=True)
    statement = clickhouse.client().query("SELECT formatQuery({text:String})", {"text": made.stdout}).result_rows[0][0]
    assert statement.startswith("CREATE USER anna IDENTIFIED ")
    assert statement.endswith(" DEFAULT ROLE pharos_analyst")
    for words in ours:
        help_ = _python(*words[:2], "--help")
        assert all(option in help_.stdout for option in words if option.startswith("--")), words
    checked = _python("collector", "check", str(etc / "sites.toml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_what_the_page_reads_in_a_container_is_mounted_there() -> None:
    """Each `pharos exec SERVICE cat FILE` and `sh FILE`, in a block or in a sentence."""
    page = (DEPLOY.parent / "docs/live.md").read_text()
    base = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    read = re.findall(r"pharos exec (?:-e \S+ )?(\w+) (?:cat|sh|python -m collector check) (/[\w./]+)", page)
    assert {service for service, _ in read} == {"grafana", "edge", "clickhouse", "collector"}
    for service, file in read:
        mounts = [*base[service]["volumes"], *live()["services"].get(service, {}).get("volumes", ())]
        places = [Path(mount.removesuffix(":ro").rpartition(":")[2]) for mount in mounts]
        assert Path(file) in places or Path(file).parent in places, (service, file)
