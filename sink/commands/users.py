"""`python -m sink users`: make ClickHouse's users, roles and limits (sink/users.sql), with passwords from files."""

import hashlib
import itertools
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from clickhouse_connect.driver.exceptions import Error

from sink import sql_text
from sink.clickhouse import Stop, classify, connect
from sink.settings import Settings

FILE: Final = Path(__file__).parent.parent / "users.sql"
USERS: Final = ("sink", "migrator", "analyst", "eraser", "forwarder")
_PASSWORD: Final = re.compile(r"sha256_password BY \{(\w+)_password:String\}")
_USER: Final = re.compile(r"^(?:CREATE USER IF NOT EXISTS|ALTER USER|GRANT \w+ TO|REVOKE \w+ FROM) (\w+)\b")
_ON_CLUSTER: Final = re.compile(r"^(GRANT|REVOKE)\b")


def statements(passwords: Mapping[str, str], cluster: str = "") -> list[str]:
    """Return the SQL, in order, without the users that have no password in `passwords`.

    A password leaves this process as a salted hash only, because ClickHouse may log statements and parameters.
    """
    salt = secrets.token_hex(16)

    def hashed(found: re.Match[str]) -> str:
        digest = hashlib.sha256(f"{passwords[found[1]]}{salt}".encode()).hexdigest()
        return f"sha256_hash BY '{digest}' SALT '{salt}'"

    made = []
    for each in sql_text.split(FILE.read_text(encoding="utf-8")):
        statement = "\n".join(line for line in each.splitlines() if not line.lstrip().startswith("--")).strip()
        user = _USER.match(statement)
        if user is not None and user[1] in USERS and user[1] not in passwords:
            continue
        statement = sql_text.for_cluster(_PASSWORD.sub(hashed, statement), cluster)
        made.append(_ON_CLUSTER.sub(rf"\1 ON CLUSTER '{cluster}'", statement) if cluster else statement)
    return made


def read_passwords(folders: Sequence[Path]) -> dict[str, str]:
    """Return the password of each user that has a file `<user>_password` in one of the folders.

    Raises:
        Stop: there is none, or one is empty.
    """
    found = {}
    for user, folder in itertools.product(USERS, folders):
        file = folder / f"{user}_password"
        if file.exists():
            found[user] = file.read_text(encoding="utf-8").removesuffix("\n")
            if not found[user]:
                raise Stop(f"{file} is empty")
    if not found:
        raise Stop(f"no {', '.join(f'{user}_password' for user in USERS)} in {', '.join(map(str, folders))}")
    return found


async def command(settings: Settings, folders: Sequence[Path], say: Callable[[str], None] = print) -> int:
    """Apply the file as an administrator of ClickHouse; return 0.

    Raises:
        Stop, Retry: no password is there; ClickHouse refuses, or cannot be reached.
    """
    passwords = read_passwords(folders)
    connection = await connect(settings)
    try:
        for statement in statements(passwords, settings.cluster):
            await connection.command(statement)
    except Error as error:
        raise classify(error.code, str(error)) from error
    finally:
        await connection.close()
    say(f"roles and limits as in {FILE.name}; users: {', '.join(passwords)}")
    return 0
