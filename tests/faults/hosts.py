"""Hosts of the tests' own: network namespaces on one bridge, which can be cut off from each other.

Only for a process in a network namespace of its own (`unshare --net`): everything is gone when that process ends.
"""

import subprocess
from typing import NamedTuple

from tests import needs

_BRIDGE = "pharos0"
_NOWHERE = "02:00:00:00:00:fe"
"""A hardware address that no host has: what is sent there is lost without an error."""


class Host(NamedTuple):
    """Where a program runs."""

    address: str
    command: tuple[str, ...] = ()
    """What is put before a command line to run it there."""
    port: str = ""
    """The host's end at the bridge."""


LOCALHOST = Host("127.0.0.1")


class Network:
    """A bridge with this process at 10.77.0.1, and the hosts."""

    def __init__(self) -> None:
        self._ip = needs.program("ip", "iproute2")
        self._nsenter = needs.program("nsenter", "util-linux")
        self._unshare = needs.program("unshare", "util-linux")
        self._holders: list[subprocess.Popen[bytes]] = []
        self._run("link", "set", "lo", "up")
        self._run("link", "add", _BRIDGE, "type", "bridge")
        self._run("address", "add", "10.77.0.1/24", "dev", _BRIDGE)
        self._run("link", "set", _BRIDGE, "up")

    def host(self) -> Host:
        """Return a new host that reaches all others."""
        number = 10 + len(self._holders)
        # `cat` keeps the namespace until its input closes, which happens when this process ends, however it does.
        holder = subprocess.Popen([self._unshare, "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write(b"?")
        holder.stdin.flush()
        holder.stdout.read(1)  # `cat` answers: so the namespace is there
        self._holders.append(holder)
        port, address = f"port{number}", f"10.77.0.{number}"
        self._run("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        self._run("link", "set", port, "master", _BRIDGE, "up")
        host = Host(address, (self._nsenter, f"--net=/proc/{holder.pid}/ns/net", "--"), port)
        self._run("address", "add", f"{address}/24", "dev", "eth0", on=host)
        self._run("link", "set", "lo", "up", on=host)
        self._run("link", "set", "eth0", "up", on=host)
        return host

    def isolate(self, host: Host) -> None:
        """Lose everything from and to a host, without an error at either end."""
        self._run("link", "set", host.port, "nomaster")

    def join(self, host: Host) -> None:
        """End `isolate`."""
        self._run("link", "set", host.port, "master", _BRIDGE)

    def lose(self, sender: Host, receiver: Host) -> None:
        """Lose what `sender` sends to `receiver`. What `receiver` sends arrives, and its answer is lost."""
        self._run("neighbour", "replace", receiver.address, "lladdr", _NOWHERE, "dev", "eth0", on=sender)

    def deliver(self, sender: Host, receiver: Host) -> None:
        """End `lose`."""
        self._run("neighbour", "delete", receiver.address, "dev", "eth0", on=sender)

    def _run(self, *arguments: str, on: Host = LOCALHOST) -> None:
        subprocess.run([*on.command, self._ip, *arguments], check=True)
