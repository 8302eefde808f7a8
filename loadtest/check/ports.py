"""Free ports of this machine for programs under test."""

import random
import socket
from pathlib import Path
from typing import Final

_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_random = random.SystemRandom()
_given: set[int] = set()


def free_port() -> int:
    """Return a port of 127.0.0.1 without a listener, which no outgoing connection and no other caller will be given.

    Binding port 0 would take one from the range of outgoing connections: while a stopped broker is away, a client that
    tries to reach it may then be given that very port, connect to itself and keep the broker from coming back.
    """
    # What the kernel gives to outgoing connections starts here; the number is Linux's default where it cannot be read.
    lowest = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
    while True:
        port = _random.randrange(10_000, max(lowest, 20_000))
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
