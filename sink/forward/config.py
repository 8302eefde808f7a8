"""`destinations.toml`: what is sent where. Pure; `read` gets the file's text.

Nothing is sent of a site or an event that is not named here.

Long, because it is a list: a class for each platform.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec

from sink.forward.platforms.ga4 import Ga4
from sink.forward.platforms.google_ads import GoogleAds
from sink.forward.platforms.linkedin import LinkedIn
from sink.forward.platforms.meta import Meta
from sink.forward.platforms.microsoft import Microsoft
from sink.forward.platforms.pinterest import Pinterest
from sink.forward.platforms.platform import Platform, UserField
from sink.forward.platforms.reddit import Reddit
from sink.forward.platforms.tiktok import TikTok
from sink.forward.platforms.webhook import Webhook

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_EVENT: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_GA4_EVENT: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
Digits = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,32}\Z")]


class ConfigError(ValueError):
    """The file cannot be used; one line that names the place and the fix."""


class Destination(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="platform"):
    """One destination; the fields that all platforms share. Each platform's own adds `platform()`, its mapping."""

    sites: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """Keys of the sites whose events may go there. Example: ["shop"]."""
    events: Annotated[dict[str, str], msgspec.Meta(min_length=1)]
    """Our events, each with the platform's name for it. Example: {purchase = "Purchase"}."""
    credential_file: Annotated[str, msgspec.Meta(min_length=1)]
    """Path of a file with the token, key or secret; relative to destinations.toml. It is read for each request."""
    purpose: Literal["advertising", "analytics"] = "advertising"
    """What the visitor must have consented to."""
    refunds: bool = True
    """Whether refunds of these events are sent too."""
    user_data: tuple[UserField, ...] = ()
    """User data that the site sends and that may go, hashed: "email" and "phone" of the properties of that name,
    "external_id", which is the user id."""
    address: bool = False
    """Whether the visitor's address, as the site's policy left it, may go."""
    hold_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 60.0
    """Seconds for which an event waits for its copies, and for a refusal."""
    lookback_days: Annotated[int, msgspec.Meta(ge=1, le=90)] = 90
    """Days for which a click id counts."""
    endpoint: str = ""
    """Another server than the platform's own, for tests: https://, or http:// on this machine."""

    HOST = ""

    @property
    def server(self) -> str:
        """Return the server's base URL."""
        return self.endpoint.rstrip("/") or self.HOST


class WebhookDestination(Destination, frozen=True, kw_only=True, tag="webhook"):
    """A server of one's own. The credential is the key of the signature."""

    url: str

    def platform(self) -> Platform:
        return Webhook(self.url)


class MetaDestination(Destination, frozen=True, kw_only=True, tag="meta"):
    """Meta's Conversions API. The credential is an access token of the data set."""

    pixel: Digits
    """Id of the data set (pixel)."""
    version: Annotated[str, msgspec.Meta(pattern=r"\Av[0-9]{1,3}\.[0-9]\Z")] = "v25.0"
    """Version of the Graph API."""
    test_event_code: str = ""
    """Code of the Events Manager's tab "Test events": events appear there and count for nothing."""

    HOST = "https://graph.facebook.com"

    def platform(self) -> Platform:
        return Meta(self.pixel, endpoint=self.server, version=self.version, test_event_code=self.test_event_code)


class GoogleAdsDestination(Destination, frozen=True, kw_only=True, tag="google_ads"):
    """Google Ads through the Data Manager API; `events` names conversion actions by their ids.

    The credential is an OAuth access token with the scope `datamanager`; renew the file before the token expires.
    """

    account: Digits
    """Id of the account that owns the conversion actions, without dashes."""
    login_account: Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{0,32}\Z")] = ""
    """Id of the manager account whose user the credential is, if it is another."""
    validate_only: bool = False
    """Google checks the requests and stores nothing."""

    HOST = "https://datamanager.googleapis.com"

    def platform(self) -> Platform:
        return GoogleAds(
            self.account, endpoint=self.server, login_account=self.login_account, validate_only=self.validate_only
        )


class Ga4Destination(Destination, frozen=True, kw_only=True, tag="ga4"):
    """Google Analytics 4's Measurement Protocol. The credential is an API secret of the data stream."""

    measurement_id: Annotated[str, msgspec.Meta(pattern=r"\AG-[A-Z0-9]{4,16}\Z")]

    HOST = "https://www.google-analytics.com"

    def platform(self) -> Platform:
        return Ga4(self.measurement_id, endpoint=self.server, advertising=self.purpose == "advertising")


class TikTokDestination(Destination, frozen=True, kw_only=True, tag="tiktok"):
    """TikTok's Events API. The credential is an access token of the pixel."""

    pixel: Annotated[str, msgspec.Meta(pattern=r"\A[A-Z0-9]{4,32}\Z")]
    """Code of the pixel."""
    test_event_code: str = ""
    """Code of the Events Manager's tab "Test events"."""

    HOST = "https://business-api.tiktok.com"

    def platform(self) -> Platform:
        return TikTok(self.pixel, endpoint=self.server, test_event_code=self.test_event_code)


class PinterestDestination(Destination, frozen=True, kw_only=True, tag="pinterest"):
    """Pinterest's API for Conversions. The credential is a conversion access token."""

    account: Digits
    """Id of the ad account."""
    test: bool = False
    """Pinterest checks the events and stores none."""

    HOST = "https://api.pinterest.com"

    def platform(self) -> Platform:
        return Pinterest(self.account, endpoint=self.server, test=self.test)


class RedditDestination(Destination, frozen=True, kw_only=True, tag="reddit"):
    """Reddit's Conversions API. The credential is a conversion access token."""

    pixel: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_]{2,64}\Z")]
    test_id: str = ""
    """Id of the Events Manager's test: events appear there and count for nothing."""

    HOST = "https://ads-api.reddit.com"

    def platform(self) -> Platform:
        return Reddit(self.pixel, endpoint=self.server, test_id=self.test_id)


class LinkedInDestination(Destination, frozen=True, kw_only=True, tag="linkedin"):
    """LinkedIn's Conversions API; `events` names conversion rules by their ids. The credential is an access token."""

    version: Annotated[str, msgspec.Meta(pattern=r"\A20[0-9]{4}\Z")] = "202611"
    """Version of LinkedIn's API, year and month."""

    HOST = "https://api.linkedin.com"

    def platform(self) -> Platform:
        return LinkedIn(endpoint=self.server, version=self.version)


class MicrosoftDestination(Destination, frozen=True, kw_only=True, tag="microsoft"):
    """Microsoft Advertising; `events` names offline conversion goals. The credential is an OAuth access token."""

    developer_token: Annotated[str, msgspec.Meta(min_length=1)]
    customer: Digits
    account: Digits

    HOST = "https://campaign.api.bingads.microsoft.com"

    def platform(self) -> Platform:
        return Microsoft(
            endpoint=self.server, developer_token=self.developer_token, customer=self.customer, account=self.account
        )


AnyDestination = (
    WebhookDestination
    | MetaDestination
    | GoogleAdsDestination
    | Ga4Destination
    | TikTokDestination
    | PinterestDestination
    | RedditDestination
    | LinkedInDestination
    | MicrosoftDestination
)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    destinations: dict[str, AnyDestination] = {}


def read(text: str) -> Mapping[str, AnyDestination]:
    """Return the destinations by their names.

    Raises:
        ConfigError: see there.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}") from None
    try:
        found = msgspec.convert(content, _File).destinations
    except msgspec.ValidationError as error:
        raise ConfigError(_place(str(error), content)) from None
    for name, one in found.items():
        _check(name, one)
    return found


def _place(message: str, content: Mapping[str, object]) -> str:
    """Return msgspec's message with the name of the destination instead of "[...]"."""
    inside = content.get("destinations")
    if isinstance(inside, dict):
        for name, one in inside.items():
            try:
                msgspec.convert({"destinations": {name: one}}, _File)
            except msgspec.ValidationError as error:
                return f"destinations.{name}: {str(error).replace('`$.destinations[...]', '`')}"
    return message


def _check(name: str, one: AnyDestination) -> None:
    def wrong(what: str) -> ConfigError:
        return ConfigError(f"destinations.{name}: {what}")

    if not _NAME.fullmatch(name):
        raise wrong("the name must be 1-63 of a-z, 0-9 and -")
    for event, action in one.events.items():
        if not _EVENT.fullmatch(event):
            raise wrong(f"events: {event!r} cannot be the name of an event: 1-64 of A-Z, a-z, 0-9, _ . : -")
        if not action:
            raise wrong(f"events.{event}: name what the platform calls it")
        if isinstance(one, Ga4Destination) and not _GA4_EVENT.fullmatch(action):
            raise wrong(f"events.{event}: GA4 takes 1-40 letters, digits and _, a letter first")
        if event == "refund":
            raise wrong("events: refunds are sent with the events that they refund; set refunds = false to send none")
    if one.purpose == "analytics" and not isinstance(one, Ga4Destination | WebhookDestination):
        raise wrong('purpose: what an ad platform gets needs consent to "advertising"')
    for url in (one.endpoint, getattr(one, "url", "")):
        if url:
            parts = urlsplit(url)
            if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
                raise wrong(f"{url!r} must begin with https://")


def refusing_sites(text: str) -> frozenset[str]:
    """Return the sites of a `sites.toml` that respect Sec-GPC: only their events may go.

    Raises:
        ConfigError: not TOML.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"sites: not TOML: {error}") from None
    sites = content.get("sites", {})
    return frozenset(key for key, site in sites.items() if site.get("gpc", "refuse") == "refuse")
