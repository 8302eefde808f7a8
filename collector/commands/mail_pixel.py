"""`python -m collector mail-pixel`: print the pixel for a mail, with the placeholders of common mail services.

A recipient is named by the mail service's own id, never by an e-mail address.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from collector.policy import paths
from stage import version

PATHS_VARIABLE: Final = "PHAROS_COLLECTOR_PATHS"


class Placeholders(NamedTuple):
    """Texts that a mail service replaces when it sends. They are not percent-encoded in the query, because services do
    not look inside encoded text."""

    message: str
    list: str
    recipient: str


SENDERS: Final[dict[str, Placeholders]] = {
    name: Placeholders(**texts)
    for name, texts in json.loads(Path(__file__).with_name("mail_senders.json").read_bytes()).items()
}
"""By mail service; the report's form reads the same file. Sources: Mailchimp, "All the merge tags" (CAMPAIGN_UID,
LIST:UID, UNIQID); listmonk.app/docs/templating, "Template expressions"; Salesforce, "Personalization strings" (jobid,
listid, subscriberid). The templates of the others see only the values that your program passes: pass these three."""


def tag(
    base: str, site: str, message: str, mailing_list: str, recipient: str, *, consent: bool, name: str = "o.gif"
) -> str:
    """Return the `<img>` of a mail. Empty parts are left out; placeholders stay as they are."""
    pairs = [("s", quote(site, safe="")), ("m", message), ("l", mailing_list), ("uid", recipient)]
    query = "&".join(f"{name}={text}" for name, text in [*pairs, ("n", "1" if consent else "")] if text)
    address = escape(f"{base.rstrip('/')}/{name}?{query}", quote=True)
    return f'<img src="{address}" width="1" height="1" alt="" style="display:block;border:0;width:1px;height:1px">'


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Print the tag; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m collector mail-pixel",
        description="Print the open pixel for a mail: paste it at the end of the mail's HTML.",
        epilog=f"An own name of /o.gif comes from {PATHS_VARIABLE}.",
    )
    version.add_option(parser)
    parser.add_argument("--base", required=True, help="the collector's public address, such as https://px.example.com")
    parser.add_argument("--site", required=True, help="key of the site that the opens count for")
    parser.add_argument("--sender", choices=sorted(SENDERS), help="fill in this service's placeholders")
    parser.add_argument("--message", default="", help="the message's id instead of a placeholder")
    parser.add_argument("--list", default="", help="the list's or campaign's id, instead of a placeholder")
    parser.add_argument(
        "--recipient", action="store_true", help="name the recipient, too (stored only with their consent)"
    )
    parser.add_argument("--consent", action="store_true", help="the recipients of this mail have consented")
    asked = parser.parse_args(argv)
    if not asked.base.startswith("https://"):
        print("--base must start with https://, or mail programs show no image", file=sys.stderr)
        return 2
    if not asked.sender and (asked.recipient or not asked.message):
        print("give --sender, or --message without --recipient", file=sys.stderr)
        return 2
    known = SENDERS.get(asked.sender or "", Placeholders("", "", ""))
    message = quote(asked.message, safe="") or known.message
    mailing_list = quote(asked.list, safe="") or known.list
    recipient = known.recipient if asked.recipient else ""
    name = paths.parse(environ.get(PATHS_VARIABLE, "")).get("o.gif", "o.gif")
    print(tag(asked.base, asked.site, message, mailing_list, recipient, consent=asked.consent, name=name))
    return 0
