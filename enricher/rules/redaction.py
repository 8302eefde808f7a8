"""Finds personal data in addresses and campaigns, and masks it before anything is stored.

In doubt a parameter is masked: that costs less than a customer's address that is stored for years.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

MASK: Final = "***"

# Whole names, lower case, dashes and underscores left out. Origin: the parameters that GA4's and Matomo's data
# redaction lists name, OAuth 2.0 (RFC 6749), OpenID Connect, SAML, and the newsletter tools' recipient parameters.
# fmt: off
PERSONAL: Final = frozenset({
    "email", "emailaddress", "mail", "mailaddress", "useremail", "customeremail", "contactemail", "emailid",
    "emailhash", "hashedemail", "recipient", "recipientemail", "subscriberemail", "userid", "username", "user",
    "login", "loginname", "account", "nickname", "name", "firstname", "lastname", "fullname", "surname",
    "givenname", "familyname", "fname", "lname", "middlename", "maidenname", "vorname", "nachname", "phone",
    "phonenumber", "telephone", "tel", "mobile", "mobilenumber", "mobilephone", "cell", "cellphone", "fax",
    "msisdn", "telefon", "handy", "address", "address1", "address2", "street", "streetaddress", "strasse", "zip",
    "zipcode", "postcode", "postalcode", "plz", "birthday", "birthdate", "dateofbirth", "dob", "birthyear",
    "geburtsdatum", "ssn", "socialsecurity", "socialsecuritynumber", "taxid", "vatid", "passport", "passportnumber",
    "iban", "bic", "accountnumber", "cardnumber", "creditcard", "creditcardnumber", "ccnumber", "ccn", "cvv", "cvc",
    "cardholder", "password", "passwd", "pass", "pwd", "newpassword", "oldpassword", "passwort", "pin", "otp",
    "totp", "mfa", "verificationcode", "token", "accesstoken", "refreshtoken", "idtoken", "authtoken", "csrftoken",
    "csrf", "xsrf", "xsrftoken", "resettoken", "resetpasswordtoken", "confirmationtoken", "invitetoken",
    "invitationtoken", "jwt", "bearer", "assertion", "samlresponse", "samlrequest", "relaystate", "apikey", "key",
    "secret", "clientsecret", "signature", "sig", "hmac", "hash", "auth", "authorization", "oauthtoken",
    "oauthverifier", "code", "nonce", "session", "sessionid", "sid", "phpsessid", "jsessionid", "aspsessionid",
    "sessiontoken", "ip", "ipaddress", "lat", "lng", "lon", "latitude", "longitude",
})
# fmt: on

_LOCAL_LONGEST: Final = 1600
"""Characters in which the longest local part fits."""
_NAME_LONGEST: Final = 100
"""Characters at the end of a parameter's name that are read."""
_DROP: Final = str.maketrans("", "", "-_.[] ")

# The "@" may itself be encoded, up to three times; so may "+", the domain's dots, and letters beyond ASCII. No other
# character of an address contains "@", so that the searches to its left and to its right end at the next "@": the
# whole takes linear time.
_AT_DOMAIN: Final = re.compile(
    r"(?:@|%(?:25){0,3}40)((?:(?:[\w-]|%[89A-Fa-f][0-9A-Fa-f])+(?:\.|%(?:25){0,2}2[Ee]))+[^\W\d_]{2,24})"
)
_LOCAL_REVERSED: Final = re.compile(r"(?:[Bb]2(?:52){0,2}%|[0-9A-Fa-f][89A-Fa-f]%|[\w.!$'*+`{|}~^-]){1,160}")
"""The local part, from its last character to its first. Bounded (RFC 5321: 64 octets, escapes make it longer)."""
_ESCAPE_END: Final = re.compile(r"(?:25){0,2}[0-9A-Fa-f]{2}")
"""The end of the escape before an address, right after its percent sign."""
_PARAMETER_MARK: Final = re.compile(r"([?&#;=])|%((?:25){0,8})(3[FfDdBb]|2[36])")
"""What begins or ends a parameter's name or value, at any depth of encoding."""
_NESTING: Final = re.compile(r"[?;#]|%(?:3[Dd]|25)")
_MARKS: Final = {"3f": "?", "3d": "=", "3b": ";", "26": "&", "23": "#"}


def is_personal(name: str) -> bool:
    """Return whether the parameter `name` (decoded, lower case) carries personal data; `user[email]` counts too."""
    plain = name.translate(_DROP)
    if plain in PERSONAL:
        return True
    if "[" in name:
        return name.rpartition("[")[2].translate(_DROP) in PERSONAL
    return plain.endswith(("email", "password", "token", "secret"))


def mask_email(text: str) -> str:
    """Return `text` with every e-mail address masked, its `@` plain or percent-encoded. Takes linear time."""
    if "@" not in text and ("%" not in text or "40" not in text):
        return text
    kept: list[str] = []
    done = after_at = 0
    for at in _AT_DOMAIN.finditer(text):
        end = at.start()
        begin = max(done, after_at, end - _LOCAL_LONGEST)
        after_at = at.start(1)
        if end <= begin:
            continue
        local = _LOCAL_REVERSED.match(text[begin:end][::-1])
        if local is None:
            continue
        start = end - local.end()
        if start > 0 and text[start - 1] == "%":
            escape = _ESCAPE_END.match(text, start, end)
            if escape is not None and escape.end() < end:
                start = escape.end()
        kept.append(text[done:start])
        kept.append(MASK)
        done = at.end()
    if not kept:
        return text
    kept.append(text[done:])
    return "".join(kept)


def mask_parameters(text: str) -> str:
    """Return a query, or a text with an address in it, with the values of personal parameters masked.

    A parameter may be in an address inside another parameter's value, to any depth, encoded as often or not at all:
    "next=%2Fcb%3Fcode%3D1234" gives "next=%2Fcb%3Fcode%3D***". A value ends at the next "&" or "#" that is encoded no
    deeper than its "=". Takes linear time.
    """
    parts = text.split("&")
    # With one plain "=" a part and no encoded one, no value holds another parameter.
    if text.count("=") <= len(parts) and _NESTING.search(text) is None:
        for place, part in enumerate(parts):
            name, equals, value = part.partition("=")
            if "=" in value:
                break
            if value and _hides(name):
                parts[place] = name + equals + MASK
        else:
            return "&".join(parts)
    kept: list[str] = []
    done = name_start = 0
    value_start = -1
    value_depth = 0
    for found in _PARAMETER_MARK.finditer(text):
        raw = found[1]
        if raw is not None:
            mark = raw
            depth = 0
        else:
            mark = _MARKS[found[3].lower()]
            depth = 1 + len(found[2]) // 2
        if value_start >= 0:
            if depth > value_depth or mark not in "&#":
                continue
            if found.start() > value_start:
                kept.append(MASK)
                done = found.start()
            else:
                done = value_start
            value_start = -1
        elif mark == "=" and found.start() > name_start and _hides(text[name_start : found.start()][-_NAME_LONGEST:]):
            kept.append(text[done : found.end()])
            value_start, value_depth = found.end(), depth
        name_start = found.end()
    if value_start >= 0:
        if value_start < len(text):
            kept.append(MASK)
    elif not kept:
        return text
    else:
        kept.append(text[done:])
    return "".join(kept)


@lru_cache(maxsize=1 << 12)
def _hides(name: str) -> bool:
    """Return whether a parameter's name, as it is written, names personal data."""
    for _ in range(4):
        if "%" not in name:
            break
        name = unquote(name)
    name = name.replace("+", " ").rpartition("/")[2].strip().lower()
    while name.startswith("amp;"):
        name = name[4:]
    return is_personal(name)
