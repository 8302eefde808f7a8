"""An authority and a server's certificate, made for one run of the tests by openssl."""

import subprocess
from pathlib import Path

from tests import needs


class Certificates:
    """A certificate of localhost and px.example.com: `authority`, `key` and chain `signed`, and both in `pair`."""

    def __init__(self, folder: Path) -> None:
        self.authority, self.pair = folder / "ca.pem", folder / "server.pem"
        openssl = needs.program("openssl", "openssl")
        self.key, self.signed = folder / "server.key", folder / "server.crt"
        extra = folder / "extra"
        extra.write_text("subjectAltName=DNS:localhost,DNS:px.example.com,IP:127.0.0.1\n")
        for command in (
            f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -keyout {folder}/ca.key -out {self.authority}",
            f"req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout {self.key} -out {folder}/server.csr",
            f"x509 -req -in {folder}/server.csr -CA {self.authority} -CAkey {folder}/ca.key -CAcreateserial -days 2 "
            f"-extfile {extra} -out {self.signed}",
        ):
            subprocess.run([openssl, *command.split()], check=True, capture_output=True, timeout=60)
        self.pair.write_text(self.key.read_text() + self.signed.read_text())
