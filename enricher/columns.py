"""Hits as columns: what enrichment works on, a step for all hits.

Reason: to read the fields of each hit by itself costs twice as much.
"""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import astuple

from collector.contract import Consent, Hit, Kind, VisitorKind


class Columns(NamedTuple):
    """A column for each field of Hit, in its order."""

    id: tuple[str, ...]
    at: tuple[int, ...]
    kind: tuple[Kind, ...]
    site: tuple[str, ...]
    query: tuple[str, ...]
    body: tuple[str, ...]
    user_agent: tuple[str, ...]
    referer: tuple[str, ...]
    accept_language: tuple[str, ...]
    sec_ch_ua: tuple[str, ...]
    sec_ch_ua_mobile: tuple[str, ...]
    sec_ch_ua_platform: tuple[str, ...]
    geo_country: tuple[str, ...]
    geo_region: tuple[str, ...]
    geo_city: tuple[str, ...]
    ip: tuple[str, ...]
    visitor_id: tuple[str, ...]
    visitor_kind: tuple[VisitorKind, ...]
    consent: tuple[Consent, ...]


if Columns._fields != Hit.__struct_fields__:
    raise TypeError("columns.py: a hit's fields are not those of collector/contract.py")


def columns_of(hits: Sequence[Hit]) -> Columns:
    """Return the columns of at least one hit."""
    return Columns(*zip(*map(astuple, hits), strict=True))
