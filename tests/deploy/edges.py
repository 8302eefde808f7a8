"""nginx and Varnish from deploy/edge, as they are but for addresses and folders, on free ports."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tests import needs
from tests.ports import free_port
from tests.processes import Program

DEPLOY = Path(__file__).parents[2] / "deploy"
Start = Callable[..., Program]


def nginx(folder: Path, start: Start, upstreams: Sequence[int]) -> tuple[str, Program]:
    """Start nginx before the collectors on these ports of 127.0.0.1; return its base URL and the process."""
    binary = needs.program("nginx", "nginx")
    port = free_port()
    text = (DEPLOY / "edge/nginx.conf").read_text()
    line = next(line for line in text.splitlines() if "server collector:8080" in line)
    servers = "\n".join(line.replace("collector:8080", f"127.0.0.1:{upstream}") for upstream in upstreams)
    text = text.replace(line, servers)
    text = text.replace("listen 8000 default_server", f"listen 127.0.0.1:{port} default_server")
    text = text.replace("/tmp/", f"{folder}/").replace("/var/run/nginx.pid", f"{folder}/nginx.pid")
    (folder / "nginx.conf").write_text(text)
    options = ["-c", str(folder / "nginx.conf"), "-p", str(folder)]
    checked = start([binary, "-t", *options, "-g", "user root;"])
    assert checked.wait(30) == 0, checked.output()
    return f"http://127.0.0.1:{port}", start([binary, *options, "-g", "daemon off; user root;"])


def varnish(folder: Path, start: Start, upstreams: Sequence[int]) -> tuple[str, Program]:
    """Start Varnish before the collector on this port of 127.0.0.1; return its base URL and the process."""
    binary = needs.program("varnishd", "varnish")
    (upstream,) = upstreams
    port = free_port()
    text = (DEPLOY / "edge/pharos.vcl").read_text()
    text = text.replace('.host = "collector"', '.host = "127.0.0.1"').replace('.port = "8080"', f'.port = "{upstream}"')
    (folder / "pharos.vcl").write_text(text)
    options = ["-j", "none", "-n", str(folder / "work"), "-a", f"127.0.0.1:{port}", "-s", "malloc,16m"]
    return f"http://127.0.0.1:{port}", start([binary, "-F", *options, "-f", str(folder / "pharos.vcl")])
