"""nginx with the files of deploy/edge in front of a collector: all of Compose's edge but TLS, on a free port."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtest.bench.host import small
from loadtest.bench.wrk import program
from loadtest.check.processes import Program, free_port, listening, started


@contextmanager
def edge(folder: Path, collector: str) -> Iterator[tuple[Program, str]]:
    """Run nginx in front of the collector at `collector` (host:port); give it and its base URL."""
    folder.mkdir()
    port = free_port()
    text = (small.DEPLOY / "edge/nginx.conf").read_text()
    text = text.replace("listen 8000 default_server", f"listen 127.0.0.1:{port} default_server")
    text = text.replace("/tmp/", f"{folder}/").replace("/var/run/nginx.pid", f"{folder}/nginx.pid")  # noqa: S108
    (folder / "nginx.conf").write_text(text.replace("/etc/nginx/", f"{folder}/"))
    upstream = (small.DEPLOY / "edge/upstream.conf").read_text().replace("collector:8080", collector)
    (folder / "upstream.conf").write_text(upstream)
    (folder / "pharos-locations.conf").write_text((small.DEPLOY / "edge/pharos-locations.conf").read_text())
    argv = [program("nginx", "nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", "stderr"]
    with started([*argv, "-g", "daemon off; user root;"], folder=folder, ready=lambda: listening(port)) as running:
        yield running, f"http://127.0.0.1:{port}"
