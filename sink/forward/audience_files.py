"""Audiences as the platforms import them: who is new, who is gone, and the columns of each form."""

import csv
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import Annotated, Final, Literal

import msgspec

from sink.forward.config import ConfigError
from sink.forward.platforms import hashing
from sink.forward.platforms.platform import UserField

Form = Literal["meta", "google", "tiktok", "own"]

Member = tuple[str, str, str]
"""Hashes of e-mail address, telephone number and user id; an empty text is not known. This is all that is kept."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_HEADS: Final[Mapping[Form, tuple[str, ...]]] = {
    "meta": ("email", "phone", "extern_id"),
    "google": ("Email", "Phone"),
    "tiktok": ("EMAIL_SHA256", "PHONE_SHA256"),
    "own": ("email_sha256", "phone_sha256", "external_id_sha256"),
}
"""Columns of each platform's list, as its help names them; Google and TikTok take no user id."""


class Definition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom an audience is made of: the parameters of the view `audience_where`."""

    name: str
    """Example: "cart-without-purchase"."""
    event: Annotated[str, msgspec.Meta(min_length=1)]
    """Goal that members met. Example: "add_to_cart"."""
    min_count: Annotated[int, msgspec.Meta(ge=1)] = 1
    without: str = ""
    """Goal that members did not meet. Example: "purchase"."""
    min_value: Annotated[float, msgspec.Meta(ge=0)] = 0
    currency: str = ""
    channel: str = ""
    days: Annotated[int, msgspec.Meta(ge=1, le=730)] = 30
    """Days up to now that count."""
    tz: str = "UTC"
    form: Form
    """Whose columns the files have."""
    user_data: Annotated[tuple[UserField, ...], msgspec.Meta(min_length=1)]
    """User data that the site sends and that may go, hashed."""
    purpose: Literal["advertising", "analytics"] = "advertising"
    """What members must have consented to."""
    url: str = ""
    """For `--to webhook`."""
    credential_file: str = ""
    """For `--to webhook`: path of the key of the signature, relative to this file."""


def read(text: str) -> Definition:
    """Return a definition.

    Raises:
        ConfigError: the text is no TOML, or a field is wrong.
    """
    try:
        made = msgspec.convert(tomllib.loads(text), Definition)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ConfigError(str(error)) from None
    if not _NAME.fullmatch(made.name):
        raise ConfigError("name: 1-63 of a-z, 0-9 and -")
    return made


def member(form: Form, user: Mapping[UserField, str]) -> Member | None:
    """Return a person's hashes, normalised as the platform says; None if nothing is left that it takes."""
    made = (
        hashing.email(user.get("email", ""), gmail=form == "google"),
        hashing.phone(user.get("phone", ""), plus=form != "meta"),
        hashing.external_id(user.get("external_id", "")) if form in ("meta", "own") else "",
    )
    return made if any(made) else None


def changes(before: Iterable[Member], now: Iterable[Member]) -> tuple[list[Member], list[Member]]:
    """Return who is new and who is gone, each in a fixed order."""
    old, new = set(before), set(now)
    return sorted(new - old), sorted(old - new)


def table(form: Form, members: Sequence[Member]) -> str:
    """Return a list as CSV."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = len(_HEADS[form])
    writer.writerow(_HEADS[form])
    writer.writerows(each[:columns] for each in members)
    return out.getvalue()


def state_text(members: Iterable[Member]) -> str:
    """Return what a run leaves for the next one."""
    return "".join(f"{' '.join(part or '-' for part in each)}\n" for each in sorted(set(members)))


def state_members(text: str) -> list[Member]:
    """Read it back.

    Raises:
        ConfigError: a line that `state_text` does not write.
    """
    found: list[Member] = []
    for number, line in enumerate(text.splitlines(), 1):
        parts = ["" if part == "-" else part for part in line.split(" ")]
        if len(parts) != 3 or not all(re.fullmatch("[0-9a-f]{64}|", part) for part in parts):
            raise ConfigError(f"line {number}: not of this program; delete the file to send the whole list once more")
        found.append((parts[0], parts[1], parts[2]))
    return found
