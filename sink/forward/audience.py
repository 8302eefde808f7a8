"""`python -m sink audience`: an audience as a list for an ad platform, or for a webhook; only what changed.

Consent counts at that moment: who refused since the last run is among those who are gone, so that the platform
forgets them too. A run that breaks off is repeated by the next one: the state is written last.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Literal

import aiohttp
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from sink import clickhouse
from sink.clickhouse import Connection, Retry, classify
from sink.forward.audience_files import Definition, Member, changes, member, read, state_members, state_text, table
from sink.forward.config import ConfigError
from sink.forward.gate import GRANTED
from sink.forward.platforms.platform import JSON, Request, Sent, UserField, by_status, encode
from sink.forward.transport import Http, Unreachable, secret_of
from sink.settings import Settings

Target = Literal["csv", "webhook"]

_MEMBERS: Final = """
SELECT visitor_id, user_id, person
FROM pharos.audience_where(site = {site:String}, event = {event:String}, min_count = {min_count:UInt64},
    without = {without:String}, min_value = {min_value:Float64}, currency = {currency:String},
    channel = {channel:String},
    since = {since:String}, until = {until:String}, tz = {tz:String})
"""
# What the site has sent of each visitor or user, the latest first; only with consent, and only if it was not withdrawn.
_USER_DATA: Final = """
SELECT visitor_id, user_id, props['email'], props['email_sha256'], props['phone'], props['phone_sha256'],
    props[{purpose:String}]
FROM pharos.standing(site = {site:String}, events = '', since = '', until = '', tz = 'UTC')
WHERE consent = 'given' AND NOT is_bot
    AND (visitor_id IN {visitors:Array(String)} OR (user_id != '' AND user_id IN {users:Array(String)}))
    AND (user_id != '' OR props['email'] != '' OR props['email_sha256'] != '' OR props['phone'] != ''
         OR props['phone_sha256'] != '')
ORDER BY occurred_at DESC
"""
_IDS_BYTES: Final = 100_000
"""Of the ids in a question: ClickHouse takes parameters of at most 128 KiB (http_max_field_value_size)."""
_NOTE: Final = """
INSERT INTO pharos.audience_exports (site, audience, target, form, members, added, gone)
SELECT {site:String}, {audience:String}, {target:String}, {form:String}, {members:UInt64}, {added:UInt64},
    {gone:UInt64}
"""


async def command(settings: Settings, site: str, path: Path, to: Target, out: Path) -> int:
    """Write or send what changed; return the exit code: 0, 1 if a webhook did not take it, 2 if a file is wrong.

    Writes OUT.added.csv and OUT.gone.csv (`--to csv`), and OUT.state, the hashes of all members, for the next run.
    """
    state = out.with_name(f"{out.name}.state")
    try:
        definition, before, key = _files(path, state, to)
    except ConfigError as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    connection = await clickhouse.connect_where_sites_are(settings, [site], timeout_s=600)
    try:
        now = await members(connection, site, definition)
        added, gone = changes(before, now)
        if to == "csv":
            _write(out.with_name(f"{out.name}.added.csv"), table(definition.form, added))
            _write(out.with_name(f"{out.name}.gone.csv"), table(definition.form, gone))
        else:
            why = await _post(definition, key, added, gone)
            if why:
                print(f"{definition.name}: the webhook did not take it; run it again: {why}", file=sys.stderr)
                return 1
        note: dict[str, object] = {"site": site, "audience": definition.name, "target": to, "form": definition.form}
        counts = {"members": len(set(now)), "added": len(added), "gone": len(gone)}
        try:
            await connection.command(_NOTE, note | counts)
        except Error as error:
            raise classify(error.code, str(error)) from error
        _write(state, state_text(now))
    finally:
        await connection.close()
    print(f"{definition.name}: {len(set(now)):,} members, {len(added):,} new, {len(gone):,} gone")
    return 0


def _files(path: Path, state: Path, to: Target) -> tuple[Definition, list[Member], str]:
    """Return the definition, the members of the last run, and the key of a webhook's signature."""
    definition = read(path.read_text("utf-8"))
    before = state_members(state.read_text("utf-8")) if state.exists() else []
    if to == "csv":
        return definition, before, ""
    if not (definition.url and definition.credential_file):
        raise ConfigError("url and credential_file are needed for --to webhook")
    return definition, before, _key(path.parent / definition.credential_file)


def _key(path: Path) -> str:
    try:
        return secret_of(path)
    except ValueError:
        raise ConfigError(f"credential_file: {path.name} is not one line of text") from None


async def members(connection: Connection, site: str, definition: Definition) -> list[Member]:
    """Return the members whom the platform can recognise and who consent now."""
    until = time.time()
    rows = await _ask(
        connection,
        _MEMBERS,
        site=site,
        event=definition.event,
        min_count=definition.min_count,
        without=definition.without,
        min_value=definition.min_value,
        currency=definition.currency,
        channel=definition.channel,
        since=f"{until - definition.days * 86_400:.3f}",
        until=f"{until:.3f}",
        tz=definition.tz,
    )
    persons = {visitor: person for visitor, _, person in rows if visitor}
    persons |= {f"user {user}": person for _, user, person in rows if user}
    users: dict[str, dict[UserField, str]] = {}
    for part in _parts(rows):
        data = await _ask(
            connection,
            _USER_DATA,
            site=site,
            purpose=f"consent_{definition.purpose}",
            visitors=sorted({visitor for visitor, _, _ in part if visitor}),
            users=sorted({user for _, user, _ in part if user}),
        )
        # A browser that two persons share may have rows of one who is in another part.
        chosen_now = {person for _, _, person in part}
        users |= {person: own for person, own in _users(persons, data).items() if person in chosen_now}
    chosen = ({name: text for name, text in user.items() if name in definition.user_data} for user in users.values())
    return [made for user in chosen if (made := member(definition.form, user))]


def _parts(rows: Sequence[Sequence[str]]) -> Iterator[Sequence[Sequence[str]]]:
    """Yield the members in parts, all rows of a person in one, whose ids are not too long for a question."""
    part: list[Sequence[str]] = []
    size = 0
    for _, own in groupby(sorted(rows, key=itemgetter(2)), key=itemgetter(2)):
        more = list(own)
        length = sum(len(visitor.encode()) + len(user.encode()) + 8 for visitor, user, _ in more)
        if part and size + length > _IDS_BYTES:
            yield part
            part, size = [], 0
        part += more
        size += length
    if part:
        yield part


def _users(persons: Mapping[str, str], rows: Sequence[Sequence[str]]) -> dict[str, dict[UserField, str]]:
    """Return the user data of each person: of each field the latest. The latest word on the purpose counts."""
    found: dict[str, dict[UserField, str]] = {}
    purposes: dict[str, str] = {}
    for visitor, user, email, email_hash, phone, phone_hash, purpose in rows:
        person = persons.get(f"user {user}") if user else None
        person = person or persons.get(visitor)
        if person is None:
            continue
        if purpose:
            purposes.setdefault(person, purpose)
        own = found.setdefault(person, {})
        fields: dict[UserField, str] = {"email": email or email_hash, "phone": phone or phone_hash, "external_id": user}
        for name, text in fields.items():
            if text:
                own.setdefault(name, text)
    return {person: own for person, own in found.items() if purposes.get(person, "1").lower() in GRANTED}


async def _post(definition: Definition, key: str, added: Sequence[Member], gone: Sequence[Member]) -> str:
    """Send what changed; return why it was not taken, or ""."""
    body = encode({"audience": definition.name, "form": definition.form, "added": added, "gone": gone})
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        try:
            answer = await Http(session).post(Request(definition.url, body, JSON), key)
        except Unreachable as error:
            return f"no answer: {error}"
    outcome = by_status(answer.status, answer.retry_after, answer.body)
    return "" if isinstance(outcome, Sent) else outcome.why


def _write(path: Path, text: str) -> None:
    """Write a file as a whole; only its owner may read it."""
    part = path.with_name(f"{path.name}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


async def _ask(connection: Connection, query: str, **parameters: Any) -> list[Any]:
    try:
        answer = await connection.query(query, parameters)
    except Error as error:
        raise classify(error.code, str(error)) from error
    except (ClickHouseError, OSError, TimeoutError) as error:
        raise Retry(f"{type(error).__name__}: {error}") from error
    rows: list[Any] = answer.result_rows
    return rows
