"""How a request leaves: over HTTPS, signed where the destination is a webhook; or printed, in a dry run."""

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Protocol
from urllib.parse import quote

import aiohttp

from sink.forward.config import AnyDestination, WebhookDestination
from sink.forward.platforms.platform import Request

TIMEOUT_S: Final = 30.0
ANSWER_BYTES: Final = 1 << 20
"""Bytes of an answer that are read."""
SECRET: Final = "(secret)"  # noqa: S105 - a placeholder
"""Replaces the credential in a dry run."""

_SHORTEST: Final = 8
"""Characters of a credential that is looked for: a shorter one is also found in other words."""


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    retry_after: str
    body: bytes


class Unreachable(Exception):
    """No answer: the request may have arrived or not."""


class Transport(Protocol):
    """Sends one request."""

    async def post(self, request: Request, key: str) -> Answer:
        """Send; `key` signs the request if it is not empty. Raises Unreachable."""


def credential(one: AnyDestination, folder: Path) -> str:
    """Return a destination's token, key or secret, read again.

    Raises:
        OSError, ValueError: the file cannot be read, or is not one line of text: an empty key would sign nothing.
    """
    return secret_of(folder / one.credential_file)


def secret_of(path: Path) -> str:
    """Return the secret in a file; raises as `credential`."""
    secret = path.read_text("utf-8").strip()
    if not secret or not secret.isprintable():
        raise ValueError("not one line of text")
    return secret


def without_secret(body: bytes, secret: str) -> bytes:
    """Return an answer without the credential, which some platforms repeat in their errors."""
    if len(secret) < _SHORTEST:
        return body
    forms = sorted({secret, quote(secret, safe=""), quote(secret)}, key=len, reverse=True)
    return re.sub(b"|".join(re.escape(each.encode()) for each in forms), SECRET.encode(), body)


def signing_key(one: AnyDestination, secret: str) -> str:
    """Return the key that signs requests to this destination; empty if none does."""
    return secret if isinstance(one, WebhookDestination) else ""


def signature(key: str, timestamp: int, body: bytes) -> str:
    """Return a webhook's signature: HMAC-SHA-256 in hex of the timestamp, a full stop and the body."""
    return hmac.digest(key.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hex()


class Http:
    """Requests over the network, one session for all."""

    def __init__(self, session: aiohttp.ClientSession, now: Callable[[], float] = time.time) -> None:
        self._session = session
        self._now = now

    async def post(self, request: Request, key: str) -> Answer:
        headers = dict(request.headers)
        if key:
            timestamp = int(self._now())
            headers |= {
                "Pharos-Timestamp": str(timestamp),
                "Pharos-Signature": signature(key, timestamp, request.body),
            }
        try:
            async with self._session.post(
                request.url,
                data=request.body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            ) as answer:
                body = bytearray()
                # One read gives what has arrived so far, which may be half of the answer.
                while len(body) < ANSWER_BYTES and (part := await answer.content.read(ANSWER_BYTES - len(body))):
                    body += part
                return Answer(answer.status, answer.headers.get("Retry-After", ""), bytes(body))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # The error's own text may hold the URL, and with it the secret.
            raise Unreachable(type(error).__name__) from None
