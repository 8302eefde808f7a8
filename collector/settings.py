"""Everything an operator can set: one frozen Settings, read once from `PHAROS_COLLECTOR_*`.

Rule: the environment variable of a field is `PHAROS_COLLECTOR_` and the field's name in capitals. An unknown variable
or a malformed value stops the start and is named.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from collector.policy.client_address import Trusted

PREFIX: Final = "PHAROS_COLLECTOR_"

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Size = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The collector's settings. Units stand in the names."""

    host: str = "127.0.0.1"
    """Address the public port listens on."""
    port: Port = 8080
    """The public port; 0 takes a free one and logs it."""
    admin_host: str = "127.0.0.1"
    """Address of `/healthz`, `/readyz` and `/metrics`."""
    admin_port: Port = 9100
    """Port of the same; 0 takes a free one and logs it."""
    log: Literal["auto", "json", "text"] = "auto"
    """Form of the log lines; `auto`: text where stderr is a terminal, else JSON."""
    workers: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    """Processes that share the public port; one a core is right. One that dies is replaced."""
    sites: str
    """Path of `sites.toml`. No default: without a site nothing is accepted."""
    links: str = ""
    """Path of `links.toml`; empty: no named links."""

    spool_dir: str = "var/spool"
    """Folder of the spool. On a disk of its own, a full disk harms nobody else."""
    spool_bytes: Size = 4 << 30
    """Unsent hits kept on disk at most, all workers together; past it the collector answers 503."""
    spool_free_bytes: Size = 256 << 20
    """The collector answers 503 rather than leave less free space than this on the spool's disk."""
    spool_keep_s: Seconds = 0
    """How long acknowledged hits stay, to be sent again when a broker without storage has lost them; 0: not at all."""
    segment_bytes: Annotated[int, msgspec.Meta(ge=4096)] = 64 << 20
    """Size at which a segment file is closed and the next begun."""
    segment_s: Seconds = 300
    """Age at which the same happens."""
    fsync: Literal["always", "interval", "never"] = "interval"
    """`always`: answer after the disk has it; `interval`: a power cut costs at most `fsync_interval_ms`; `never`."""
    fsync_interval_ms: Count = 100
    """Time between two fsyncs under `interval`."""

    kafka: str = "localhost:9092"
    """Bootstrap servers, separated by commas."""
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How Kafka is spoken to; `SSL` is TLS."""
    kafka_ca: str = ""
    """Path of the authorities that Kafka's certificate is checked against, PEM; empty: the system's."""
    kafka_certificate: str = ""
    """Path of our own certificate, PEM, where Kafka wants one."""
    kafka_key: str = ""
    """Path of its key; empty: in the same file."""
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = "SCRAM-SHA-512"
    """Under SASL: how we say who we are."""
    kafka_user: str = ""
    kafka_password: str = ""
    """Under SASL, but for OAUTHBEARER."""
    kafka_token_path: str = ""
    """OAUTHBEARER: path of the token, read anew at each login."""
    topic_raw: str = "hits.raw"
    """Topic that takes the hits."""
    batch_bytes: Annotated[int, msgspec.Meta(ge=4096, le=900_000)] = 256 << 10
    """Uncompressed size at which a batch goes to Kafka at once."""
    linger_ms: Size = 50
    """How long a hit may wait for company on its way to Kafka."""
    ack_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 30
    """A batch without an answer for so long costs the producer its life: a new one is made, and it is sent again."""
    memory_bytes: Size = 16 << 20
    """Unsent hits a worker keeps in memory; older ones are read back from the spool when their turn comes."""

    connections: Count = 16384
    """Open connections a worker takes; past it, new ones are closed at once and counted."""
    head_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 10
    """Time for a request's first byte and whole head (408 after it)."""
    body_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 20
    """Time for a request's body (408 after it)."""
    keepalive_s: Annotated[float, msgspec.Meta(gt=0)] = 75
    """How long a connection may idle between requests."""
    grace_s: Seconds = 5
    """After SIGTERM: how long requests are still taken while `/readyz` says 503, so that load balancers turn away."""
    drain_s: Seconds = 20
    """After that: how long the spool may still empty itself into Kafka; what is left stays on disk."""

    trusted_proxies: str = ""
    """Addresses and networks, separated by commas, whose word about the client's address counts; empty: nobody's."""
    cdn: Literal["nginx", "cloudfront", "cloudflare", "fastly", "akamai"] = "nginx"
    """Whose headers to read for address and place; `nginx`: X-Forwarded-For, as most proxies write it."""
    client_ip_header: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9-]*\Z")] = ""
    """A header with one address to read instead of the preset's."""
    max_event_age_h: Annotated[int, msgspec.Meta(ge=1)] = 72
    """How old an event with a `time` of its own may be."""
    link_key: str = ""
    """Secret that signed links are signed with, at least 16 characters; empty: signed links are refused."""
    link_keys_before: str = ""
    """Earlier keys, separated by commas, whose links still lead on."""
    salt_dir: str = ""
    """Folder of the daily salt, the same for all workers and, by a mount or a copy, all hosts; empty: a folder in
    `/dev/shm`, for a single host. Never on a disk that is backed up."""

    cookie_domain: Annotated[str, msgspec.Meta(pattern=r"\A([a-z0-9-]+\.)*[a-z0-9-]*\Z")] = ""
    """`Domain` of our cookies, such as "example.com"; empty: the collector's own host only."""


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings in `environ`.

    Raises:
        ValueError: an unknown, missing or malformed variable; the message is one line that names it.
    """
    given = {name.removeprefix(PREFIX).lower(): text for name, text in environ.items() if name.startswith(PREFIX)}
    given = _with_files(given)
    if unknown := sorted(given.keys() - set(Settings.__struct_fields__)):
        raise ValueError(f"{PREFIX}{unknown[0].upper()}: there is no such setting")
    try:
        settings = msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as problem:
        text, _, path = str(problem).partition(" - at `$.")
        if path:
            raise ValueError(f"{PREFIX}{path.rstrip('`').upper()}: {text}") from None
        name = text.rpartition("`")[0].rpartition("`")[2]
        raise ValueError(f"{PREFIX}{name.upper()}: must be set") from None
    if not settings.sites:
        raise ValueError(f"{PREFIX}SITES: must be set")
    if settings.link_key and len(settings.link_key) < 16:
        raise ValueError(f"{PREFIX}LINK_KEY: must have at least 16 characters")
    try:
        Trusted(text for text in settings.trusted_proxies.split(",") if text.strip())
    except ValueError as problem:
        raise ValueError(f"{PREFIX}TRUSTED_PROXIES: {problem}") from None
    return settings


def _with_files(given: Mapping[str, str]) -> dict[str, str]:
    """Replace each `name_file` by `name` with the file's content, without its last line end."""
    found = dict(given)
    for name in given:
        field = name.removesuffix("_file")
        if field == name or field not in Settings.__struct_fields__:
            continue
        variable = f"{PREFIX}{name.upper()}"
        if field in given:
            raise ValueError(f"{variable}: {PREFIX}{field.upper()} is set too")
        try:
            found[field] = Path(found.pop(name)).read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{variable}: {given[name]}: {error}") from None
    return found
