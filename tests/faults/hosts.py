"""Hosts of the tests' own: network namespaces on one bridge, which can be cut off, slow, silent, or move elsewhere.

Only for a process with namespaces of its own (`unshare --net --mount`): everything is gone when that process ends.
"""

import subprocess
from collections.abc import Iterable
from pathlib import Path
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
    name: str = ""
    """What it is called in /etc/hosts of these namespaces; it may move to another address."""

    @property
    def place(self) -> str:
        """How others call it."""
        return self.name or self.address

    @property
    def listens(self) -> str:
        """Where its servers listen: a host that may move, everywhere."""
        return "0.0.0.0" if self.name else self.address


LOCALHOST = Host("127.0.0.1")


class Network:
    """A bridge with this process at 10.77.0.1, and the hosts."""

    def __init__(self, folder: Path) -> None:
        """Make it; `folder` gets the file that is /etc/hosts here."""
        self._names: dict[str, str] = {}
        self._file = folder / "hosts"
        self._file.write_text("127.0.0.1 localhost\n")
        subprocess.run([needs.program("mount", "mount"), "--bind", str(self._file), "/etc/hosts"], check=True)
        self._tc = needs.program("tc", "iproute2")
        self._ip = needs.program("ip", "iproute2")
        self._nsenter = needs.program("nsenter", "util-linux")
        self._unshare = needs.program("unshare", "util-linux")
        self._holders: list[subprocess.Popen[bytes]] = []
        self._run("link", "set", "lo", "up")
        self._run("link", "add", _BRIDGE, "type", "bridge")
        self._run("address", "add", "10.77.0.1/24", "dev", _BRIDGE)
        self._run("link", "set", _BRIDGE, "up")

    def host(self, name: str = "") -> Host:
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
        host = Host(address, (self._nsenter, f"--net=/proc/{holder.pid}/ns/net", "--"), port, name)
        self._run("address", "add", f"{address}/24", "dev", "eth0", on=host)
        self._run("link", "set", "lo", "up", on=host)
        self._run("link", "set", "eth0", "up", on=host)
        if name:
            self.call(host, address)
        return host

    def call(self, host: Host, address: str) -> None:
        """Let the host's name mean this address from now on."""
        self._names[host.name] = address
        # In place: it is the same file that is mounted.
        self._file.write_text("127.0.0.1 localhost\n" + "".join(f"{at} {name}\n" for name, at in self._names.items()))

    def move(self, host: Host) -> str:
        """Give the host another address and return that; its name means the old one until `call`."""
        old = self._names[host.name]
        first, _, last = old.rpartition(".")
        new = f"{first}.{int(last) + 100 if int(last) < 100 else int(last) - 100}"
        self._run("address", "delete", f"{old}/24", "dev", "eth0", on=host)
        self._run("address", "add", f"{new}/24", "dev", "eth0", on=host)
        return new

    def slow(self, host: Host, rate: str) -> None:
        """Pass no more than `rate` from and to a host; what does not fit waits up to three seconds, or is lost."""
        for device, on in (("eth0", host), (host.port, LOCALHOST)):
            shape = ["root", "tbf", "rate", rate, "burst", "5000", "latency", "3s"]
            self._run("qdisc", "add", "dev", device, *shape, on=on, tool=self._tc)

    def fast(self, host: Host) -> None:
        """End `slow`."""
        for device, on in (("eth0", host), (host.port, LOCALHOST)):
            self._run("qdisc", "delete", "dev", device, "root", on=on, tool=self._tc)

    def silence(self, host: Host, but: Iterable[Host]) -> None:
        """Let a host accept connections and requests, and lose its answers, except those to the hosts `but`."""

        def tc(what: str, *arguments: str) -> None:
            self._run(what, "add", "dev", "eth0", *arguments, on=host, tool=self._tc)

        tc("qdisc", "root", "handle", "1:", "htb", "default", "1")
        tc("class", "parent", "1:", "classid", "1:1", "htb", "rate", "1gbit", "quantum", "60000")
        tc("class", "parent", "1:", "classid", "1:9", "htb", "rate", "1kbit", "quantum", "1500")
        tc("qdisc", "parent", "1:9", "pfifo", "limit", "0")
        rules = [["ip", "dst", self._address(one)] for one in but]
        rules.append(["u16", "0", "0xffc0", "at", "2"])  # shorter than 64 bytes: TCP without content
        for rule in rules:
            tc("filter", "parent", "1:", "protocol", "ip", "prio", "1", "u32", "match", *rule, "classid", "1:1")
        tc("filter", "parent", "1:", "protocol", "ip", "prio", "9", "u32", "match", "u32", "0", "0", "classid", "1:9")

    def heard(self, host: Host) -> None:
        """End `silence`."""
        self._run("qdisc", "delete", "dev", "eth0", "root", on=host, tool=self._tc)

    def isolate(self, host: Host) -> None:
        """Lose everything from and to a host, without an error at either end."""
        self._run("link", "set", host.port, "nomaster")

    def join(self, host: Host) -> None:
        """End `isolate`."""
        self._run("link", "set", host.port, "master", _BRIDGE)

    def lose(self, sender: Host, receiver: Host) -> None:
        """Lose what `sender` sends to `receiver`. What `receiver` sends arrives, and its answer is lost."""
        self._run("neighbour", "replace", self._address(receiver), "lladdr", _NOWHERE, "dev", "eth0", on=sender)

    def deliver(self, sender: Host, receiver: Host) -> None:
        """End `lose`."""
        self._run("neighbour", "delete", self._address(receiver), "dev", "eth0", on=sender)

    def _address(self, host: Host) -> str:
        return self._names.get(host.name, host.address)

    def _run(self, *arguments: str, on: Host = LOCALHOST, tool: str = "") -> None:
        subprocess.run([*on.command, tool or self._ip, *arguments], check=True)
