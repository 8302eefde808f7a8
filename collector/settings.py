"""The collector's settings: one frozen Settings, read once from `PHAROS_COLLECTOR_*`."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec

from collector.policy import paths
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
    """Port of `/healthz`, `/readyz` and `/metrics`; 0 takes a free one and logs it."""
    workers: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    """Processes that share the public port; use one per core. A process that dies is replaced."""
    sites: str
    """Path of `sites.toml`. Without a site nothing is accepted."""
    links: str = ""
    """Path of `links.toml`; empty: no named links."""

    spool_dir: str = "var/spool"
    """Folder of the spool. Use a separate disk, so that a full spool does not stop other programs."""
    spool_bytes: Size = 4 << 30
    """Maximum size of unsent hits on disk, of all workers together; above it the collector answers 503."""
    spool_free_bytes: Size = 256 << 20
    """Minimum free space on the spool's disk; the collector answers 503 instead of using it."""
    spool_keep_s: Seconds = 0
    """How long acknowledged hits are kept, to send them again to a broker without storage that lost them; 0: not."""
    segment_bytes: Annotated[int, msgspec.Meta(ge=4096)] = 64 << 20
    """Size at which a segment file is closed and the next begun."""
    segment_s: Seconds = 300
    """Age at which a segment file is closed and the next begun."""
    fsync: Literal["always", "interval", "never"] = "interval"
    """`always`: answer after fsync; `interval`: a power cut loses at most FSYNC_INTERVAL_MS; `never`: no fsync."""
    fsync_interval_ms: Count = 100
    """Time between two fsyncs with FSYNC=interval."""

    topic_raw: str = "hits.raw"
    """Topic for accepted hits."""
    batch_bytes: Annotated[int, msgspec.Meta(ge=4096, le=900_000)] = 256 << 10
    """Uncompressed size at which a batch is sent to Kafka without waiting for LINGER_MS."""
    linger_ms: Size = 100
    """How long a hit may wait for others in its batch to Kafka."""
    ack_timeout_s: PositiveSeconds = 30
    """After this time without Kafka's answer the producer is replaced and the batch is sent again."""
    memory_bytes: Size = 16 << 20
    """Size of unsent hits that a worker keeps in memory; the others are read from the spool when they are sent."""

    connections: Count = 16384
    """Maximum open connections per worker; further ones are closed at once and counted."""
    head_timeout_s: PositiveSeconds = 10
    """Time for a request's head to arrive; then the answer is 408."""
    body_timeout_s: PositiveSeconds = 20
    """Time for a request's body to arrive; then the answer is 408."""
    keepalive_s: PositiveSeconds = 75
    """How long a connection may be idle between requests."""
    grace_s: Seconds = 5
    """After SIGTERM: how long requests are served while `/readyz` answers 503, so that load balancers stop sending."""
    drain_s: Seconds = 20
    """After GRACE_S: how long the spool is sent to Kafka before the end; the rest stays on disk."""

    trusted_proxies: str = ""
    """Addresses and networks of the proxies whose header with the client's address is used; empty: none."""
    cdn: Literal["nginx", "cloudfront", "cloudflare", "fastly", "akamai"] = "nginx"
    """Whose headers have the address and location; `nginx`: X-Forwarded-For, which most proxies write."""
    client_ip_header: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9-]*\Z")] = ""
    """Name of a header with one address, instead of the CDN's."""
    max_event_age_h: Annotated[int, msgspec.Meta(ge=1)] = 72
    """Maximum age of an event that has its own `time`."""
    link_key: str = ""
    """Secret for signing links, at least 16 characters; empty: signed links are refused."""
    link_keys_before: str = ""
    """Earlier keys, separated by commas, whose links are still accepted."""
    salt_dir: str = ""
    """Folder of the daily salt, shared by all workers and (by a mount or a copy) all hosts; empty: a folder in
    `/dev/shm`, for one host. Never on a disk that is backed up."""

    paths: str = ""
    """Own names of paths, such as `t.js=shop.js, e=save`: t.js, x.js, e, p.gif, o.gif, c and linker may have one. The
    tag uses them; the standard names are served, too."""
    cookie_domain: Annotated[str, msgspec.Meta(pattern=r"\A([a-z0-9-]+\.)*[a-z0-9-]*\Z")] = ""
    """`Domain` of the cookies, such as `example.com`; empty: the collector's own host only."""


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
    try:
        paths.parse(settings.paths)
    except paths.BadPaths as problem:
        raise SettingError(f"{Settings.variable('paths')}: {problem}") from None
    return settings
