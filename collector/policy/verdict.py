"""What a site's policy makes of hits that are alike: with one kind, consent parameter, signals and cookies.

There are few combinations, so each is decided once and kept: the visitor's id, the address and the event itself are all
that differs from hit to hit.
"""

from typing import Final, Literal

from collector.contract import Kind
from collector.policy.client import inner_json
from collector.policy.consent import SIGNALS, Identity, identify
from collector.policy.refusal import Refusal
from collector.policy.ruleset import Ruleset

_BY_QUERY: Final = ("pixel", "open")


class Verdict:
    """One combination's decision."""

    __slots__ = (
        "allowed",
        "answers",
        "consent",
        "consent_json",
        "hits",
        "ip",
        "ip_json",
        "kind_json",
        "prefix",
        "recorded",
        "refusal",
        "set_cookies",
        "site",
        "source",
    )

    def __init__(self, site: str, refusal: Refusal | None) -> None:
        """Decide that a hit is refused; `site` is the metric's label: a configured site's key, or empty."""
        self.site: Final = site
        self.refusal: Refusal | None = refusal
        self.recorded = False
        self.set_cookies: tuple[str, ...] = ()
        self.source = ""
        self.allowed = False
        self.consent = ""
        self.ip: Literal["truncate", "full", "none"] = "none"
        self.prefix = b""
        """The record from `kind` to the opening quote of the query or body."""
        self.kind_json = b""
        """The record from the visitor's closing quote to the consent; empty without a visitor."""
        self.consent_json = b""
        """The record's end."""
        self.ip_json: dict[str, bytes] = {}
        """By the client's address: what the record holds of it."""
        self.answers: dict[str, object] = {}
        """Kept by collector.http, by what else an answer depends on."""
        self.hits = 0
        """Hits decided so and not yet counted in the metrics."""


def of(identity: Identity, ruleset: Ruleset, kind: Kind, site: str) -> Verdict:
    """Return the verdict that an identity gives."""
    verdict = Verdict(site, Refusal(identity.refusal) if identity.refusal else None)
    verdict.set_cookies = identity.set_cookies
    verdict.consent = identity.consent
    if not identity.recorded:
        return verdict
    verdict.recorded = True
    verdict.source = identity.source
    verdict.allowed = identity.allowed
    verdict.ip = ruleset.sites[site].ip
    text = "query" if kind in _BY_QUERY else "body"
    verdict.prefix = f',"kind":"{kind}","site":"'.encode() + inner_json(site) + f'","{text}":"'.encode()
    if identity.source:
        verdict.kind_json = f'","visitor_kind":"{identity.visitor_kind}"'.encode()
    verdict.consent_json = (f',"consent":"{identity.consent}"' if identity.consent != "unknown" else "").encode() + b"}"
    return verdict


class Verdicts:
    """The verdicts of one Ruleset."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._ruleset: Final = ruleset
        self._groups: Final[dict[tuple[str, str, str], dict[int, Verdict]]] = {}
        self._refused: Final[dict[tuple[str, str], Verdict]] = {}

    def find(self, kind: Kind, site: str, consent: str, signals: int, cookies: int) -> Verdict:
        """Return the verdict on a hit for a configured site.

        `consent` is the request's own parameter; its values other than "1" and empty are one.
        """
        if consent and consent != "1":
            consent = "0"
        key = (kind, site, consent)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = {}
        number = cookies * SIGNALS + signals
        verdict = group.get(number)
        if verdict is None:
            policy, domain = self._ruleset.sites[site], "" if kind == "server" else self._ruleset.domain
            identity = identify(policy, cookies=cookies, signals=signals, consent_param=consent, domain=domain)
            if kind == "server":  # the answer goes to the site's server: it has no use for a visitor's cookies
                identity = identity._replace(set_cookies=())
            verdict = group[number] = of(identity, self._ruleset, kind, site)
        return verdict

    def refused(self, refusal: Refusal, site: str = "") -> Verdict:
        """Return the verdict on a hit that is refused under every policy; `site` as in Verdict."""
        key = (refusal.value, site)
        verdict = self._refused.get(key)
        if verdict is None:
            verdict = self._refused[key] = Verdict(site, refusal)
        return verdict

    def counts(self) -> list[tuple[str, str, int]]:
        """Return (site, result, hits) since the last call."""
        counted = []
        for group in (*self._groups.values(), self._by_refusal()):
            for verdict in group.values():
                if verdict.hits:
                    counted.append((verdict.site, verdict.refusal or "accepted", verdict.hits))
                    verdict.hits = 0
        return counted

    def _by_refusal(self) -> dict[int, Verdict]:
        return dict(enumerate(self._refused.values()))
