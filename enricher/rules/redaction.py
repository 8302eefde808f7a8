"""Finds personal data in addresses and campaigns, and masks it before anything is stored.

In doubt a parameter is masked: that costs less than a customer's address that is stored for years.
"""

import re
from typing import Final

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

_DROP: Final = str.maketrans("", "", "-_.[] ")

# The "@" may itself be encoded, up to three times; so may "+", the domain's dots, and letters beyond ASCII. The local
# part is bounded (RFC 5321: 64 octets, escapes make it longer), which also bounds the search.
_EMAIL: Final = re.compile(
    r"((?<=%)(?:25){0,2}[0-9A-Fa-f]{2})?(?:[\w.!$'*+`{|}~^-]|%(?:25){0,2}2[Bb]|%[89A-Fa-f][0-9A-Fa-f]){1,160}"
    r"(?:@|%(?:25){0,3}40)"
    r"(?:(?:[\w-]|%[89A-Fa-f][0-9A-Fa-f])+(?:\.|%(?:25){0,2}2[Ee]))+[^\W\d_]{2,24}"
)


def is_personal(name: str) -> bool:
    """Return whether the parameter `name` (decoded, lower case) carries personal data; `user[email]` counts too."""
    plain = name.translate(_DROP)
    if plain in PERSONAL:
        return True
    if "[" in name:
        return name.rpartition("[")[2].translate(_DROP) in PERSONAL
    return plain.endswith(("email", "password", "token", "secret"))


def mask_email(text: str) -> str:
    """Return `text` with every e-mail address masked, its `@` plain or percent-encoded."""
    if "@" not in text and ("%" not in text or "40" not in text):
        return text
    return _EMAIL.sub(_masked, text)


def _masked(found: re.Match[str]) -> str:
    # The two digits after a percent sign belong to the escape before the address.
    return (found[1] or "") + MASK
