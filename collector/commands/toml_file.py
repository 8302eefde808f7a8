"""Changes one table of `sites.toml` or `links.toml`. The rest of the file stays as it is, with its comments."""

import contextlib
import fcntl
import os
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from collector.policy.links import BadLinks
from collector.policy.sites import BadSites

Judge = Callable[[bytes], object]
"""Reads a file's text as the collector does; raises BadSites or BadLinks."""
Edit = Callable[[str, dict[str, Any]], str]
"""Returns a file's new text from its text and its tables; raises CannotEdit."""
Fields = Mapping[str, str | list[str]]


class CannotEdit(ValueError):
    """Why a file was not changed: one line."""


def add_table(path: Path, group: str, key: str, fields: Fields, judge: Judge) -> None:
    """Write the table `[group.key]` at the end of a file, which is made if it does not exist.

    Raises:
        CannotEdit: the table exists, the file is broken or would be, or it cannot be written.
    """

    def edit(text: str, tables: dict[str, Any]) -> str:
        if key in tables.get(group, {}):
            raise CannotEdit(f"[{group}.{key}] exists already")
        head = f"[{group}.{tomlkit.key(key).as_string()}]"
        lines = [head, *(f"{name} = {tomlkit.item(value).as_string()}" for name, value in fields.items())]
        return "\n".join([text.rstrip() + "\n", *lines, ""]).lstrip()

    _change(path, group, key, fields, judge, edit)


def set_fields(path: Path, group: str, key: str, fields: Fields, judge: Judge) -> None:
    """Set fields of the table `[group.key]`, which exists.

    Raises:
        CannotEdit: there is no such table, the file is broken or would be, or it cannot be written.
    """

    def edit(text: str, tables: dict[str, Any]) -> str:
        if key not in tables.get(group, {}):
            raise CannotEdit(f"there is no [{group}.{key}]")
        document: Any = tomlkit.parse(text)
        for name, value in fields.items():
            document[group][key][name] = value
        return tomlkit.dumps(document)

    _change(path, group, key, fields, judge, edit)


def _change(path: Path, group: str, key: str, fields: Fields, judge: Judge, edit: Edit) -> None:
    """Replace the file in one step: a collector that reads it at the same time finds the old text or the new one."""
    target = path.resolve()  # a symbolic link stays one
    by_hand = f"this file cannot be edited by a program; change [{group}.{key}] by hand"
    try:
        with _locked(target.parent):
            old = target.read_bytes() if target.exists() else b""
            if old.strip():
                judge(old)
            text = old.decode()
            before = tomllib.loads(text)
            new = edit(text, before)
            _check(before, tomllib.loads(new), group, key, fields)
            judge(new.encode())
            _replace(target, new.encode())
    except (BadSites, BadLinks, CannotEdit) as problem:
        raise CannotEdit(f"{path}: not changed: {problem}") from problem
    except (TOMLKitError, tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError) as problem:
        raise CannotEdit(f"{path}: not changed: {by_hand} ({problem})") from problem
    except OSError as problem:
        raise CannotEdit(f"{path}: not changed: {problem.strerror}") from problem


def _check(before: dict[str, Any], after: dict[str, Any], group: str, key: str, fields: Fields) -> None:
    """Raise KeyError if anything but the fields of one table has changed."""
    tables = before.get(group, {})
    if after != {**before, group: {**tables, key: {**tables.get(key, {}), **fields}}}:
        raise KeyError(key)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, so that of two commands each sees the other's change."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _replace(target: Path, text: bytes) -> None:
    """Write a file through a new one next to it. Mode and owner stay; a new file is readable by all."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            if target.exists():
                was = target.stat()
                if (was.st_uid, was.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), was.st_uid, was.st_gid)
                os.fchmod(file.fileno(), was.st_mode & 0o7777)
            else:
                os.fchmod(file.fileno(), 0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
