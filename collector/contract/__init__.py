"""What the collector writes to `hits.raw`, and the vocabulary in which senders write: shared with the enricher.

`hit` is the record, `fields` the table of a sender's fields, `click_ids` the list of what networks append to links.
"""

from collector.contract.hit import HIT_VERSION, Consent, Hit, Kind, VisitorKind, decode, encode

__all__ = ["HIT_VERSION", "Consent", "Hit", "Kind", "VisitorKind", "decode", "encode"]
