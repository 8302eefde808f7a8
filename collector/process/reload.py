"""The Ruleset of a running worker: built from settings and files, and replaced when the files change."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from collector.http.ingest import Ingest
from collector.metrics import Tally
from collector.policy import paths
from collector.policy.client_address import PRESETS, Cdn, Trusted
from collector.policy.ruleset import Ruleset
from collector.process.daily_salt import DailySalt
from collector.process.last_good import LastGood
from collector.process.site_files import BadFile, Rules, SiteFiles, watch
from collector.settings import Settings
from stage import log

_FORGET_S: Final = 60


def files_of(settings: Settings, last_good: LastGood | None = None) -> SiteFiles:
    """Return the reader of the files that the settings name."""
    return SiteFiles(Path(settings.sites), Path(settings.links) if settings.links else None, last_good)


def salt_of(settings: Settings, now_ms: Callable[[], int]) -> DailySalt:
    """Return the daily salt, in the folder of the settings or else in memory-backed `/dev/shm`."""
    folder = Path(settings.salt_dir) if settings.salt_dir else Path(f"/dev/shm/pharos-salt-{os.geteuid()}")  # noqa: S108 (owner is checked)
    return DailySalt(folder, now_ms, os.urandom, lambda why: log.line("warning", why))


def build(settings: Settings, rules: Rules, salt: DailySalt) -> Ruleset:
    """Return the Ruleset."""
    cdn = Cdn(settings.client_ip_header.lower(), "single") if settings.client_ip_header else PRESETS[settings.cdn]
    named = PRESETS[settings.cdn]
    return Ruleset(
        sites=rules.sites,
        domain=settings.cookie_domain,
        trusted=Trusted([text for text in settings.trusted_proxies.split(",") if text.strip()], cdn.form),
        forwarded_header=cdn.header,
        geo_headers=(named.country, named.region, named.city),
        cookieless=salt,
        links=rules.links,
        link_keys=tuple(key.encode() for key in (settings.link_key, *settings.link_keys_before.split(",")) if key),
        back_ms=settings.max_event_age_h * 3_600_000,
        request_id_header=named.request_id,
        paths=paths.parse(settings.paths),
    )


def tending(
    ingest: Ingest,
    files: SiteFiles,
    broken: BadFile | None,
    hangup: asyncio.Event,
    salt: DailySalt,
    tally: Tally,
) -> list[Coroutine[Any, Any, None]]:
    """Return the tasks that watch the files, and delete expired salts. `broken`: the worker began with older files."""

    def adopt(rules: Rules) -> None:
        ingest.ruleset = ingest.ruleset._replace(sites=rules.sites, links=rules.links)
        tally.name_sites(rules.sites)
        tally.set("files_stale", 0)
        log.line("info", "sites and links read again", sites=len(rules.sites), links=len(rules.links))

    def complain(problem: BadFile) -> None:
        tally.set("files_stale", 1)
        log.line("error", "the last good sites and links stay in use", problem=str(problem))

    tally.name_sites(ingest.ruleset.sites)
    tally.set("files_stale", 0)
    if broken is not None:
        complain(broken)
    return [watch(files, hangup, adopt, complain), _forget(salt, tally)]


async def _forget(salt: DailySalt, tally: Tally) -> None:
    while True:
        try:
            salt.forget()
        except OSError as problem:
            log.line("error", "cannot delete an expired salt", problem=str(problem))
        tally.set("salt_alone", int(salt.alone))
        tally.set("salt_fingerprint", salt.fingerprint())
        await asyncio.sleep(_FORGET_S)
