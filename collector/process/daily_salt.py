"""The daily salt of cookieless ids: 16 random bytes a UTC day, shared through a folder, destroyed after the day.

Rule: the salt never stands where hits stand. The folder holds one file a day (`2026-11-22`), and nothing else tells the
salt: whoever has the database, the topics and the spool, but not this folder on that day, cannot recompute an id.
All workers of a host share the folder; hosts share it by a mount or a copy (docs/privacy.md, "Sharing the salt").
"""

import contextlib
import hmac
import os
import tempfile
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from collector.policy.cookieless import hashed

SALT_BYTES: Final = 16
DAY_MS: Final = 86_400_000


class DailySalt:
    """Today's salt, the same for all who share the folder."""

    def __init__(
        self,
        folder: Path,
        now_ms: Callable[[], int],
        randomness: Callable[[int], bytes],
        complain: Callable[[str], None],
    ) -> None:
        """Touches no file yet.

        `now_ms` is the clock, `randomness(n)` gives n random bytes (os.urandom), `complain` hears why the folder cannot
        be used.
        """
        self._folder: Final = folder
        self._now_ms: Final = now_ms
        self._randomness: Final = randomness
        self._complain: Final = complain
        self._day = -1
        self._salt = b""
        self.alone = False
        """True while the folder could not be used: this process then has a salt of its own until midnight."""

    def __call__(self, site: str, address: str, user_agent: str) -> str:
        """Return the visitor's id of today."""
        day = self._now_ms() // DAY_MS
        if day != self._day:
            self._salt, self._day = self._shared(_EPOCH + timedelta(days=day)), day
        return hashed(self._salt, site, address, user_agent)

    def forget(self) -> None:
        """Destroy the salts of earlier days, here and in the folder; to be called every minute, traffic or none."""
        day = self._now_ms() // DAY_MS
        if day != self._day:
            self._salt, self._day = b"", -1
        with contextlib.suppress(FileNotFoundError):
            destroy_before(self._folder, _EPOCH + timedelta(days=day))

    def fingerprint(self) -> int:
        """Return 32 bits that differ where the salts in use differ; 0 while none is in use.

        Another text under the same HMAC: it tells nothing of the salt, nor of an id.
        """
        if not self._salt:
            return 0
        return int.from_bytes(hmac.digest(self._salt, b"fingerprint", "sha256")[:4], "big") or 1

    def _shared(self, today: date) -> bytes:
        try:
            salt = take(self._folder, today, self._randomness)
        except OSError as problem:
            # Losing the hit would be worse than an id that only this process can repeat; the metric and the log say so.
            self.alone = True
            self._complain(f"the salt's folder cannot be used, ids without a cookie differ between workers: {problem}")
            return self._randomness(SALT_BYTES)
        self.alone = False
        return salt


_EPOCH: Final = date(1970, 1, 1)


def take(folder: Path, day: date, randomness: Callable[[int], bytes]) -> bytes:
    """Return the salt of `day` from its file, which is made where it is missing; of several makers one wins.

    Raises:
        OSError: the folder can be neither read nor written, or belongs to someone else, or the file is not whole.
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
    """Make the day's file where it is missing, whole at once and readable by its owner alone.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A name of its own: where containers share the folder, every one of them is process 1.
    handle, name = tempfile.mkstemp(prefix=f".{day.isoformat()}.", dir=folder)
    draft = Path(name)
    try:
        try:
            os.write(handle, randomness(SALT_BYTES))
        finally:
            os.close(handle)
        with contextlib.suppress(FileExistsError):
            # A link, unlike a rename, never replaces what another worker put there first.
            os.link(draft, folder / day.isoformat())
    finally:
        draft.unlink(missing_ok=True)


def destroy_before(folder: Path, day: date) -> None:
    """Delete the salts of earlier days; a folder that cannot be written is left to whoever fills it."""
    for path in sorted(folder.iterdir()):
        with contextlib.suppress(ValueError, OSError):
            if date.fromisoformat(path.name) < day:
                path.unlink()


def _read(path: Path) -> bytes:
    salt = path.read_bytes()
    if len(salt) != SALT_BYTES:
        raise OSError(f"{path} is not a salt of {SALT_BYTES} bytes")
    return salt
