"""How to reach Kafka: what aiokafka's clients take besides the servers, from the settings; plain, TLS, SASL."""

import ssl
from pathlib import Path
from typing import Any

from aiokafka.abc import AbstractTokenProvider

from collector.settings import PREFIX, Settings


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]
    """OAUTHBEARER's token, read from its file at each login: whoever renews it need not tell us."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    async def token(self) -> str:
        """Return the token; raises OSError."""
        return self._path.read_text().strip()


def access(settings: Settings) -> dict[str, Any]:
    """Return the arguments of an aiokafka client that say how to encrypt and who we are.

    Raises:
        ValueError: a file that cannot be used, or a setting that is missing; the message is one line that names it.
    """
    found: dict[str, Any] = {"security_protocol": settings.kafka_security}
    if settings.kafka_security.endswith("SSL"):
        found["ssl_context"] = _tls(settings)
    if settings.kafka_security.startswith("SASL"):
        found["sasl_mechanism"] = settings.kafka_mechanism
        if settings.kafka_mechanism == "OAUTHBEARER":
            if not Path(settings.kafka_token_path).is_file():
                raise ValueError(f"{PREFIX}KAFKA_TOKEN_PATH: there is no file {settings.kafka_token_path!r}")
            found["sasl_oauth_token_provider"] = TokenFile(settings.kafka_token_path)
        elif not settings.kafka_user or not settings.kafka_password:
            raise ValueError(
                f"{PREFIX}KAFKA_USER and {PREFIX}KAFKA_PASSWORD: must be set for {settings.kafka_mechanism}"
            )
        else:
            found["sasl_plain_username"] = settings.kafka_user
            found["sasl_plain_password"] = settings.kafka_password
    return found


def _tls(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca or None)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"{PREFIX}KAFKA_CA: {settings.kafka_ca}: {error}") from None
    if settings.kafka_certificate:
        try:
            context.load_cert_chain(settings.kafka_certificate, settings.kafka_key or None)
        except (OSError, ssl.SSLError) as error:
            raise ValueError(f"{PREFIX}KAFKA_CERTIFICATE: {settings.kafka_certificate}: {error}") from None
    return context
