"""`python -m collector`: the collector itself, and its commands."""

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import uvloop

from collector import settings as settings_module
from stage import version

USAGE: Final = """usage: python -m collector [COMMAND [OPTION ...]]

Without a command: answer hits, store them in the spool, send them to Kafka.
Settings are environment variables, PHAROS_COLLECTOR_*: docs/settings.md lists them.

commands (COMMAND --help shows the options):
  spool       show what is in the spool; reads only
  site        add a site to sites.toml, make its token, list the sites
  link        print a signed link; add a named link to links.toml, list them
  mail-pixel  print the HTML of a mail's pixel
  salt        make a salt that several hosts share
  check       judge a sites.toml, a links.toml and own paths before they are used
  doctor      check a running collector from outside, as a browser and a CDN would

options:
  -h, --help  show this text
  --version   show the version"""


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command; return the exit code: 0, 2 for wrong settings or usage, 1 for anything else."""
    # Imported by the command that needs it: the supervisor of a busy collector should be small.
    try:
        match argv:
            case []:
                from collector.process import claims, supervisor

                try:
                    return uvloop.run(supervisor.run(settings_module.read(environ)))
                except claims.Unusable as problem:
                    print(problem, file=sys.stderr)
                    return 2
            case ["worker", number, listener, control, handover]:
                from collector.process import last_good, worker

                with socket.socket(fileno=int(listener)) as port, socket.socket(fileno=int(control)) as line:
                    return uvloop.run(worker.run(last_good.take_over(int(handover)), int(number), port, line))
            case ["-h" | "--help"]:
                print(USAGE)
                return 0
            case ["--version"]:
                print(version.LINE)
                return 0
            case ["spool", *rest]:
                from collector.commands import spool

                return spool.main(rest, environ.get("PHAROS_COLLECTOR_SPOOL_DIR", "var/spool"))
            case ["check", *rest]:
                from collector.commands import check

                return check.main(rest, environ)
            case ["doctor", *rest]:
                from collector.commands import doctor

                return doctor.main(rest)
            case ["link", *rest]:
                from collector.commands import link

                return link.main(rest, environ)
            case ["site", *rest]:
                from collector.commands import site

                return site.main(rest, environ)
            case ["mail-pixel", *rest]:
                from collector.commands import mail_pixel

                return mail_pixel.main(rest, environ)
            case ["salt", *rest]:
                from collector.commands import salt

                return salt.main(rest)
            case _:
                print(USAGE.partition("\n")[0], file=sys.stderr)
                return 2
    except ValueError as problem:
        print(problem, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
