"""The daily salt of cookieless ids: 16 random bytes a UTC day, shared through a folder, deleted within 48 hours.

The salt is never stored with hits. The folder has one file a day (`2026-11-22`). Without this folder on that day an id
cannot be computed again, not even with the database, the topics and the spool. All workers of a host share the folder;
hosts share it by a mount or a copy (docs/privacy.md, "Sharing the salt").

A salt is deleted a whole day after its day's end: by this host's clock and by the clock that stamps the folder's files.
So a host whose clock is ahead deletes no salt that others still use.
"""

import contextlib
import errno
import hmac
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from collector.policy.cookieless import hashed

SALT_BYTES: Final = 16
DAY_MS: Final = 86_400_000


class DailySalt:
    """Today's salt, the same in all processes that share the folder."""

    def __init__(
        self,
        folder: Path,
        now_ms: Callable[[], int],
        randomness: Callable[[int], bytes],
        complain: Callable[[str], None],
    ) -> None:
        """Read no file yet.

        `now_ms` is the clock, `randomness(n)` returns n random bytes (os.urandom), `complain` is called with the reason
        if the folder cannot be used.
        """
        self._folder: Final = folder
        self._now_ms: Final = now_ms
        self._randomness: Final = randomness
        self._complain: Final = complain
        self._day = -1
        self._salt = b""
        self.alone = False
        """The folder could not be used: this process has a salt of its own until midnight."""

    def __call__(self, site: str, address: str, user_agent: str) -> str:
        """Return the visitor's id of today."""
        day = self._now_ms() // DAY_MS
        if day != self._day:
            self._salt, self._day = self._shared(_EPOCH + timedelta(days=day)), day
        return hashed(self._salt, site, address, user_agent)

    def forget(self) -> None:
        """Forget yesterday's salt, and delete expired ones from the folder. Call it every minute."""
        day = self._now_ms() // DAY_MS
        if day != self._day:
            self._salt, self._day = b"", -1
        with contextlib.suppress(FileNotFoundError):
            delete_expired(self._folder, _EPOCH + timedelta(days=day))

    def fingerprint(self) -> int:
        """Return 32 bits that differ where the salts in use differ; 0 while none is in use.

        Another text under the same HMAC: it reveals neither the salt nor an id.
        """
        if not self._salt:
            return 0
        return int.from_bytes(hmac.digest(self._salt, b"fingerprint", "sha256")[:4], "big") or 1

    def _shared(self, today: date) -> bytes:
        try:
            salt = take(self._folder, today, self._randomness)
        except OSError as problem:
            # To lose the hit would be worse than an id that only this process can repeat. Metric and log report it.
            self.alone = True
            self._complain(f"the salt's folder cannot be used, ids without a cookie differ between workers: {problem}")
            return self._randomness(SALT_BYTES)
        self.alone = False
        return salt


_EPOCH: Final = date(1970, 1, 1)


def take(folder: Path, day: date, randomness: Callable[[int], bytes]) -> bytes:
    """Return the salt of `day` from its file. A missing file is created; of several creators one wins.

    Raises:
        OSError: the folder can be neither read nor written, or belongs to another user, or the file is damaged.
    """
    path = folder / day.isoformat()
    if folder.exists() and folder.stat().st_uid not in (os.geteuid(), 0):
        raise PermissionError(f"{folder} belongs to another user")
    try:
        return _read(path)
    except FileNotFoundError:
        make(folder, day, randomness)
        return _read(path)


def make(folder: Path, day: date, randomness: Callable[[int], bytes]) -> None:
    """Create the day's file if it is missing, whole at once and readable by its owner only.

    Raises:
        OSError: the folder cannot be created or written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A unique name: in containers that share the folder, every process may be number 1.
    handle, name = tempfile.mkstemp(prefix=f".{day.isoformat()}.", dir=folder)
    draft = Path(name)
    try:
        try:
            os.write(handle, randomness(SALT_BYTES))
        finally:
            os.close(handle)
        with contextlib.suppress(FileExistsError):
            # A link, unlike a rename, never replaces the file of another worker.
            os.link(draft, folder / day.isoformat())
    finally:
        draft.unlink(missing_ok=True)


def delete_expired(folder: Path, today: date) -> None:
    """Delete salts whose day ended before yesterday, by this host's clock (`today`) and by the folder's.

    A folder that cannot be written is left to the host that fills it.

    Raises:
        FileNotFoundError: there is no folder.
    """
    ended = [path for path in sorted(folder.iterdir()) if _has_expired(path, today)]
    if not ended:
        return
    try:
        today = _today_of(folder)
    except OSError as problem:
        if problem.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return
        raise
    for path in ended:
        if _has_expired(path, today):
            path.unlink(missing_ok=True)


def _has_expired(path: Path, today: date) -> bool:
    """Return whether a file is a salt that is at least a whole day past its day's end."""
    try:
        return date.fromisoformat(path.name) < today - timedelta(days=1)
    except ValueError:
        return False


def _today_of(folder: Path) -> date:
    """Return the UTC day by the clock that stamps the folder's files: on a shared mount often the server's."""
    handle, name = tempfile.mkstemp(prefix=".time.", dir=folder)
    try:
        os.write(handle, b"\0")
        return datetime.fromtimestamp(os.fstat(handle).st_mtime, UTC).date()
    finally:
        os.close(handle)
        Path(name).unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    salt = path.read_bytes()
    if len(salt) != SALT_BYTES:
        raise OSError(f"{path} is not a salt of {SALT_BYTES} bytes")
    return salt
