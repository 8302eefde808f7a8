"""How a stage reaches Kafka: the arguments of aiokafka's clients for plain, TLS and SASL connections."""

import ssl
from pathlib import Path
from typing import Any

from aiokafka.abc import AbstractTokenProvider

from stage.settings import SettingError, StageSettings


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]
    """The OAUTHBEARER token in a file. It is read at each login, so that it can be renewed while the stage runs."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    async def token(self) -> str:
        """Return the token; raises OSError."""
        return self._path.read_text().strip()


def access(settings: StageSettings) -> dict[str, Any]:
    """Return the arguments of an aiokafka client for encryption and authentication.

    Raises:
        SettingError: a file that cannot be used, or a setting that is missing.
    """
    found: dict[str, Any] = {"security_protocol": settings.kafka_security}
    if settings.kafka_security.endswith("SSL"):
        found["ssl_context"] = _tls(settings)
    if settings.kafka_security.startswith("SASL"):
        found["sasl_mechanism"] = settings.kafka_mechanism
        if settings.kafka_mechanism == "OAUTHBEARER":
            if not Path(settings.kafka_token_path).is_file():
                raise SettingError(
                    f"{settings.variable('kafka_token_path')}: there is no file {settings.kafka_token_path!r}"
                )
            found["sasl_oauth_token_provider"] = TokenFile(settings.kafka_token_path)
        else:
            for field in ("kafka_user", "kafka_password"):
                if not getattr(settings, field):
                    raise SettingError(f"{settings.variable(field)}: must be set for {settings.kafka_mechanism}")
            found["sasl_plain_username"] = settings.kafka_user
            found["sasl_plain_password"] = settings.kafka_password
    return found


def _tls(settings: StageSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca or None)
    except (OSError, ssl.SSLError) as error:
        raise SettingError(f"{settings.variable('kafka_ca')}: {settings.kafka_ca}: {error}") from None
    if settings.kafka_certificate:
        try:
            context.load_cert_chain(settings.kafka_certificate, settings.kafka_key or None)
        except (OSError, ssl.SSLError) as error:
            name = settings.variable("kafka_certificate")
            raise SettingError(f"{name}: {settings.kafka_certificate}: {error}") from None
    return context
