"""The cookieless id: a hash of the day's salt, the site, the address and the user agent."""

import hmac


def hashed(salt: bytes, site: str, address: str, user_agent: str) -> str:
    """Return the id of this day, site, full address and user agent: HMAC-SHA256, 128 bits as 32 hex digits."""
    # The first two contain no newline, so that different triples give different texts.
    text = f"{site}\n{address}\n{user_agent}".encode("utf-8", "surrogatepass")
    return hmac.digest(salt, text, "sha256")[:16].hex()
