"""The embedded ClickHouse where `default` has the rights and limits of one role of sink/users.sql.

chDB makes no users by SQL, but reads ClickHouse's users.xml, with the same grants, profiles and constraints. So the
statements of users.sql are put into that form; the engine then enforces them.
"""

import re
from pathlib import Path
from xml.sax.saxutils import escape

from sink.commands.users import USERS, statements
from tests.clickhouse import ClickHouse

_LIMIT = re.compile(r"(\w+) = ('?)(\w+)'?(?: MIN (\d+))?(?: MAX (\d+))?( CONST)?")


def grants(role: str) -> list[str]:
    """Return the GRANT and REVOKE statements about what this role may do, without the role."""
    made = statements(dict.fromkeys(USERS, "secret"))
    about = re.compile(rf"^((?:GRANT|REVOKE) .* ON .*) (?:TO|FROM) {role}$")
    return [found[1] for each in made if (found := about.match(each))]


def limits(role: str) -> list[tuple[str, str, str, str, bool]]:
    """Return name, value, lower and upper bound ("" without) and CONST of each setting of the role's profile."""
    (text,) = [each for each in statements({}) if each.startswith(f"ALTER SETTINGS PROFILE {role} SETTINGS")] or [""]
    return [(name, value, low, high, bool(const)) for name, _, value, low, high, const in _LIMIT.findall(text)]


def configuration(folder: Path, role: str) -> Path:
    """Write config.xml and users.xml into the folder; `role` "" is an administrator. Return config.xml's path."""
    settings = "".join(f"<{name}>{value}</{name}>" for name, value, *_ in limits(role))
    bounds = "".join(
        f"<{name}>{f'<min>{low}</min>' * bool(low)}{f'<max>{high}</max>' * bool(high)}{'<const/>' * const}</{name}>"
        for name, _, low, high, const in limits(role)
        if low or high or const
    )

    def user(name: str, role: str, profile: str) -> str:
        rights = "".join(f"<query>{escape(grant)}</query>" for grant in grants(role))
        allowed = f"<grants>{rights}</grants>" if role else "<access_management>1</access_management>"
        return (
            f"<{name}><password/><networks><ip>::/0</ip></networks><profile>{profile}</profile>"
            f"<quota>default</quota>{allowed}</{name}>"
        )

    folder.mkdir(exist_ok=True)
    (folder / "users.xml").write_text(
        # What the migrator makes belongs to it: views run with its rights.
        "<clickhouse><profiles><default><default_view_definer>migrator</default_view_definer></default>"
        f"<own>{settings}<constraints>{bounds}</constraints></own><all/></profiles><quotas><default/></quotas><users>"
        + user("default", role, "own" if settings else "default")
        + user("migrator", "pharos_migrator", "all")
        + "</users></clickhouse>"
    )
    config = folder / "config.xml"
    config.write_text(f"<clickhouse><users_config>{folder / 'users.xml'}</users_config></clickhouse>")
    return config


class LimitedClickHouse(ClickHouse):
    """An endpoint for one role; the same folder can be opened for another one after `stop`."""

    def as_role(self, role: str) -> "LimitedClickHouse":
        """Start again with the rights of this role; "" is an administrator."""
        self.stop()
        config = configuration(self.folder / f"role-{role or 'admin'}", role)
        self.module = ("deploy.local.clickhouse", "--config", str(config))
        self.start()
        return self
