"""Settings from environment variables: one frozen struct per program, one variable per field, one wording of errors.

The variable of a field is the struct's PREFIX and the field's name in capitals. With `_FILE` appended, the variable
holds the path of a file that contains the value.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec

from stage import units

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Size = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
PositiveSeconds = Annotated[float, msgspec.Meta(gt=0)]
Ratio = Annotated[float, msgspec.Meta(gt=0, le=1)]
Servers = Annotated[str, msgspec.Meta(pattern=r"\S", description="one or more host:port, separated by commas")]


class SettingError(ValueError):
    """A variable that cannot be used. The message is one line: the variable, then what is wrong or what is allowed."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a program."""

    PREFIX: ClassVar[str]

    @classmethod
    def variable(cls, field: str) -> str:
        """Return the name of a field's environment variable."""
        return cls.PREFIX + field.upper()


class StageSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings that every stage has."""

    kafka: Servers = "localhost:9092"
    """Bootstrap servers, separated by commas."""
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Protocol of the connections to Kafka; `SSL` is TLS."""
    kafka_ca: str = ""
    """Path of the certificate authorities for Kafka's certificate, PEM; empty: the system's."""
    kafka_certificate: str = ""
    """Path of the client certificate, PEM, where Kafka requires one."""
    kafka_key: str = ""
    """Path of the client certificate's key; empty: it is in the same file."""
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = "SCRAM-SHA-512"
    """SASL: the authentication mechanism."""
    kafka_user: str = ""
    """SASL, except for OAUTHBEARER: the user's name."""
    kafka_password: str = ""
    """SASL, except for OAUTHBEARER: the password."""
    kafka_token_path: str = ""
    """OAUTHBEARER: path of the token; it is read again at each login."""
    admin_host: str = "127.0.0.1"
    """Address of `/healthz`, `/readyz` and `/metrics`."""
    admin_port: Port
    """Port of the same; 0 takes a free one and logs it."""
    log: Literal["auto", "json", "text"] = "auto"
    """Form of the log lines; `auto`: text where standard error is a terminal, else JSON."""


Chosen = TypeVar("Chosen", bound=Settings)


def load(settings: type[Chosen], environ: Mapping[str, str]) -> Chosen:
    """Return the settings in `environ`.

    Raises:
        SettingError: a variable with the prefix is unknown, missing, malformed or out of bounds.
    """
    fields = {settings.variable(field.name): field for field in msgspec.structs.fields(settings)}
    values: dict[str, object] = {}
    for name in sorted(environ):
        if not name.startswith(settings.PREFIX):
            continue
        text = environ[name]
        field = fields.get(name)
        if field is None and (field := fields.get(plain := name.removesuffix("_FILE"))) is not None:
            if plain in environ:
                raise SettingError(f"{name}: {plain} is set too")
            text = _content(name, text)
        if field is None:
            raise SettingError(f"{name}: there is no such setting")
        try:
            values[field.name] = value = msgspec.convert(units.in_unit_of(field.name, text), field.type, strict=False)
        except msgspec.ValidationError:
            raise SettingError(f"{name}: must be {allowed(field.type)}{units.hint(field.name)}") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise SettingError(f"{name}: must be {allowed(field.type)}{units.hint(field.name)}")
    for name, field in fields.items():
        if field.required and field.name not in values:
            raise SettingError(f"{name}: must be set")
    return settings(**values)


def _content(name: str, path: str) -> str:
    """Return a file's content without its last line ends."""
    try:
        return Path(path).read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise SettingError(f"{name}: cannot read {path!r}: {error.strerror}") from None
    except ValueError:
        raise SettingError(f"{name}: {path!r} is no UTF-8 text file") from None


def allowed(kind: Any) -> str:
    """Describe the values of a field's type, to follow "must be"."""
    info = msgspec.inspect.type_info(kind)
    if isinstance(info, msgspec.inspect.Metadata):
        if info.extra_json_schema and "description" in info.extra_json_schema:
            return str(info.extra_json_schema["description"])
        info = info.type
    match info:
        case msgspec.inspect.LiteralType(values=values):
            return "one of " + ", ".join(map(str, values))
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.IntType():
            return "a whole number" + _bounds(info)
        case msgspec.inspect.FloatType():
            return "a number" + _bounds(info)
        case msgspec.inspect.StrType(pattern=str(pattern)):
            return f"a text that matches {pattern}"
        case _:
            return "a text"


def _bounds(info: "msgspec.inspect.IntType | msgspec.inspect.FloatType") -> str:
    if info.ge is not None and info.le is not None:
        return f" from {info.ge:g} to {info.le:g}" if isinstance(info.ge, float) else f" from {info.ge} to {info.le}"
    bounds = (("of at least", info.ge), ("greater than", info.gt), ("of at most", info.le), ("less than", info.lt))
    found = [f"{words} {bound}" for words, bound in bounds if bound is not None]
    return " " + " and ".join(found) if found else ""
