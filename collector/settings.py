"""The collector's settings: one frozen Settings, read once from `PHAROS_COLLECTOR_*`."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec

from collector.policy.client_address import Trusted
from stage.settings import Count, Port, PositiveSeconds, Seconds, SettingError, Size, StageSettings, load


class Settings(StageSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The collector's settings; units are in the names."""

    PREFIX: ClassVar[str] = "PHAROS_COLLECTOR_"

    host: str = "127.0.0.1"
    """Address the public port listens on."""
    port: Port = 8080
    """The public port; 0 takes a free one and logs it."""
    admin_port: Port = 9100
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

    topic_raw: str = "hits.raw"
    """Topic that takes the hits."""
    batch_bytes: Annotated[int, msgspec.Meta(ge=4096, le=900_000)] = 256 << 10
    """Uncompressed size at which a batch goes to Kafka at once."""
    linger_ms: Size = 50
    """How long a hit may wait for company on its way to Kafka."""
    ack_timeout_s: PositiveSeconds = 30
    """A batch without an answer for so long costs the producer its life: a new one is made, and it is sent again."""
    memory_bytes: Size = 16 << 20
    """Unsent hits a worker keeps in memory; older ones are read back from the spool when their turn comes."""

    connections: Count = 16384
    """Open connections a worker takes; past it, new ones are closed at once and counted."""
    head_timeout_s: PositiveSeconds = 10
    """Time for a request's first byte and whole head (408 after it)."""
    body_timeout_s: PositiveSeconds = 20
    """Time for a request's body (408 after it)."""
    keepalive_s: PositiveSeconds = 75
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
        SettingError: an unknown, missing or malformed variable; the message is one line that names it.
    """
    settings = load(Settings, environ)
    if not settings.sites:
        raise SettingError(f"{Settings.variable('sites')}: must be set")
    if settings.link_key and len(settings.link_key) < 16:
        raise SettingError(f"{Settings.variable('link_key')}: must have at least 16 characters")
    try:
        Trusted(text for text in settings.trusted_proxies.split(",") if text.strip())
    except ValueError as problem:
        raise SettingError(f"{Settings.variable('trusted_proxies')}: {problem}") from None
    return settings
