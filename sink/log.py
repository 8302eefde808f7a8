"""One JSON line an event on stderr; nothing of a visitor ever goes into a line."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

logger: Final = logging.getLogger("pharos.sink")


class JsonLines(logging.Formatter):
    """Formats a record as `{"at":...,"stage":"sink","level":"info","msg":...}` and what `extra={"fields":{}}` adds."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "stage": "sink",
            "level": record.levelname.lower(),
            "msg": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: int = logging.INFO) -> None:
    """Send every logger's lines to stderr in this form; libraries speak from warning upwards.

    But for aiokafka: it tells of each attempt to reach a broker that is away; the sink says so once, in its own words.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    logger.setLevel(level)
