"""Free ports of this machine for programs under test."""

import random
import socket
from pathlib import Path

_random = random.SystemRandom()
_given: set[int] = set()


def free_port() -> int:
    """Return a port of 127.0.0.1 without a listener, which no outgoing connection and no other test will be given.

    Binding port 0 would take one from the range of outgoing connections: while a stopped broker is away, a client that
    tries to reach it may then be given that very port, connect to itself and keep the broker from coming back.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
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
