"""nginx, the floor of the benchmarks of HTTP: one process that answers, with or without its buffered access log."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from loadtest.bench.wrk import cores, program
from loadtest.check.processes import Program, free_port, listening, started

_CONFIG: Final = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000000; keepalive_timeout 75;
  access_log {log};
  server {{
    listen 127.0.0.1:{port};
    {locations}
  }}
}}
"""
ANSWERS: Final = """
    location = /p.gif { empty_gif; }
    location = /o.gif { empty_gif; }
    location /c { return 302 https://shop.example/landing; }
    location = /e { default_type application/json; return 202 '{"refused":[]}'; }
    location = /v1/events { default_type application/json; return 202 '{"refused":[]}'; }
"""
"""What a collector answers, without doing anything for it; bodies are read and thrown away."""


@contextmanager
def nginx(folder: Path, locations: str = ANSWERS, *, logged: bool = True) -> Iterator[tuple[Program, int]]:
    """Run nginx on the server's core; give it with its port. It writes `folder`/access.log, 64 KB at a time."""
    port = free_port()
    log = f"{folder}/access.log combined buffer=64k flush=1s" if logged else "off"
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, port=port, log=log, locations=locations))
    argv = [program("nginx", "nginx"), "-c", str(config), "-p", str(folder), "-e", str(folder / "error.log")]
    with started(argv, folder=folder, cores=cores()[0], ready=lambda: listening(port)) as running:
        yield running, port


def version() -> str:
    """Return nginx's version."""
    argv = [program("nginx", "nginx"), "-v"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stderr.strip().rpartition("/")[2]
