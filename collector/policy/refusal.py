"""Why a hit was not accepted: the closed list of `X-Pharos: refused; REASON`, also the metric's `result` label."""

from enum import StrEnum


class Refusal(StrEnum):
    """One reason each; its docstring says what the sender should correct."""

    UNKNOWN_SITE = "unknown_site"
    """`s` names no configured site, or is missing."""
    BAD_EVENT = "bad_event"
    """The event name is not 1-64 of `[A-Za-z0-9_.:-]`."""
    BAD_ID = "bad_id"
    """`id` is longer than 256 characters, or neither text nor a whole number: the event could count twice."""
    BAD_TIME = "bad_time"
    """The event is older than 72 hours: stored under another date it would be a wrong number."""
    BAD_BODY = "bad_body"
    """The body, or one event of it, is not the JSON that is asked for."""
    TOO_LARGE = "too_large"
    """The body is over 1 MiB, as sent or inflated, or holds more than 500 events."""
    OPTED_OUT = "opted_out"
    """The visitor has opted out: nothing is recorded."""
    NO_CONSENT = "no_consent"
    """The site drops hits without consent."""
    ORIGIN = "origin"
    """The site refuses origins that it does not list."""
    UNAUTHORIZED = "unauthorized"
    """No good bearer token of the site; or the site takes this event with a token only (`token_events`)."""
    BAD_SIGNATURE = "bad_signature"
    """The link's signature is missing or wrong."""
    UNKNOWN_LINK = "unknown_link"
    """A link code that is not in the links file."""
    SPOOL = "spool"
    """The spool is full or its disk fails: 503 with `Retry-After`."""
