"""`python -m sink forward --since T`: the events of a window, printed (--dry-run) or sent once more.

Both take the way of the service: the same look-up, the same gate, the same requests.
"""

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import aiohttp
import msgspec

from sink import clickhouse
from sink.forward.config import AnyDestination, Destination, GoogleAdsDestination
from sink.forward.dead import DeadForward
from sink.forward.delivery import Delivery, Stopped
from sink.forward.pending import Key
from sink.forward.platforms import google_csv
from sink.forward.platforms.platform import Conversion
from sink.forward.run import AT_ONCE, load
from sink.forward.transport import SECRET, Http
from sink.forward.warehouse import Warehouse
from sink.settings import Settings
from stage.settings import SettingError


async def command(
    settings: Settings,
    names: Sequence[str],
    since: datetime,
    until: datetime | None,
    *,
    dry_run: bool,
    csv: google_csv.Table | None = None,
) -> int:
    """Print or send the events of [since, until); return the exit code: 0, or 1 if something was refused.

    With `csv` the events of Google Ads destinations are printed as one of Google's tables.
    """
    try:
        destinations = _chosen(load(settings), names, GoogleAdsDestination if csv else Destination)
    except SettingError as error:
        print(error, file=sys.stderr)
        return 2
    end = until.timestamp() if until else time.time()
    sites = {site for one in destinations.values() for site in one.sites}
    connection = await clickhouse.connect_where_sites_are(settings, sites, timeout_s=60)
    refused = 0
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            for name, one in destinations.items():
                buried: list[DeadForward] = []

                async def bury(dead: DeadForward, buried: list[DeadForward] = buried) -> None:
                    buried.append(dead)
                    print(f"{dead.destination}: {dead.event_id}: {dead.reason}: {dead.detail}", file=sys.stderr)

                warehouse = Warehouse(connection)
                delivery = Delivery(
                    name,
                    one,
                    folder=Path(settings.forward_destinations).parent,
                    warehouse=warehouse,
                    transport=Http(session),
                    bury=bury,
                )
                wanted = [*one.events, *(["refund"] if one.refunds else [])]
                occurred: dict[Key, int] = {}
                for site in one.sites:
                    found = await warehouse.window(site, wanted, round(since.timestamp() * 1000), round(end * 1000))
                    occurred |= {Key(site, event): at for event, at in found.items()}
                await _all(delivery, occurred, dry_run=dry_run, csv=csv)
                refused += len(buried)
    finally:
        await connection.close()
    return 1 if refused else 0


def _chosen(
    destinations: Mapping[str, AnyDestination], names: Sequence[str], kind: type[Destination]
) -> Mapping[str, AnyDestination]:
    for name in names:
        if name not in destinations:
            raise SettingError(f"--destination {name}: must be one of {', '.join(sorted(destinations)) or '(none)'}")
    chosen = {name: one for name, one in destinations.items() if isinstance(one, kind) and (not names or name in names)}
    if not chosen:
        raise SettingError("no destination is chosen; --csv is for those of the platform google_ads")
    return chosen


async def _all(delivery: Delivery, occurred: Mapping[Key, int], *, dry_run: bool, csv: google_csv.Table | None) -> None:
    keys = list(occurred)
    sent = 0
    held: Counter[str] = Counter()
    for start in range(0, len(keys), AT_ONCE):
        conversions, _ = await delivery.judged({key: occurred[key] for key in keys[start : start + AT_ONCE]}, held)
        if csv:
            print(google_csv.table(conversions, csv, head=start == 0), end="")
        elif dry_run:
            _print(delivery, conversions)
        else:
            try:
                await delivery.send(conversions)
            except Stopped:
                break
        sent += len(conversions)
        print(f"{delivery.name}: {min(start + AT_ONCE, len(keys)):,} of {len(keys):,} events", file=sys.stderr)
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in held.most_common()) or "none"
    print(
        f"{delivery.name}: {sent:,} events {'would be sent' if dry_run or csv else 'sent'}; held back: {reasons}",
        file=sys.stderr,
    )


def _print(delivery: Delivery, conversions: Sequence[Conversion]) -> None:
    """Print each request as one JSON object on a line, "(secret)" in place of the credential."""
    most = delivery.platform.limits.batch
    for start in range(0, len(conversions), most):
        request = delivery.platform.request(conversions[start : start + most], SECRET)
        print(
            msgspec.json.encode(
                {
                    "destination": delivery.name,
                    "url": request.url,
                    "headers": dict(request.headers),
                    "body": msgspec.Raw(request.body),
                }
            ).decode()
        )
