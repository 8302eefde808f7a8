"""Ports of this machine: is one free, and which one is."""

import random
import socket
from collections.abc import Container
from typing import Final

_LOWEST: Final = 20_000
_HIGHEST: Final = 29_999
# Below the range that systems give to outgoing connections: a port from there could be taken by one before we listen.


def is_free(host: str, port: int) -> bool:
    """Tell whether `port` can be listened on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def find(host: str, taken: Container[int] = ()) -> int:
    """Return a free port that is not in `taken`."""
    while True:
        port = random.SystemRandom().randint(_LOWEST, _HIGHEST)
        if port not in taken and is_free(host, port):
            return port
