"""Percent-encoding is that of `urllib.parse`, for any text; bytes that are not UTF-8 are those of Windows-1252."""

from urllib.parse import quote, unquote_plus

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.policy.percent import decoded, encoded
from enricher.rules.url import decode_form
from tests.collector import scale

ESCAPES = st.lists(
    st.sampled_from(["%", "%3A", "%2F", "%3F", "%3D", "%26", "%25", "3A", "2", "F", "%2f", "a"]), max_size=9
)
TEXTS = ESCAPES.map("".join) | st.text(max_size=20) | st.text(alphabet="%+aF09C3A49f é&=", max_size=20)


@settings(max_examples=scale.of(small=300, full=20_000), deadline=None)
@given(TEXTS)
def test_any_text_is_decoded_and_encoded_as_urllib_does(text: str) -> None:
    assert decoded(text) == decode_form(text)
    try:
        assert decoded(text) == unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        assert decoded("%FC") == "\xfc"
    try:
        expected = quote(text, safe="")
    except UnicodeEncodeError:
        return
    assert encoded(text) == expected
