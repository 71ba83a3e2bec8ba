import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.canonical import SAFE_INTEGER, canonical_json

SCALARS = st.text() | st.booleans() | st.integers(-SAFE_INTEGER, SAFE_INTEGER)
ASCII_KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
OBJECTS = st.dictionaries(ASCII_KEYS, SCALARS | st.dictionaries(ASCII_KEYS, SCALARS, max_size=4), max_size=6)


def test_an_example_of_rfc_8785_has_its_canonical_form() -> None:
    # The string of RFC 8785, 3.2.3 and 3.2.4, with its canonical form there.
    text = "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\u0022\u002f"
    assert canonical_json({"string": text}) == '{"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'.encode()


def test_control_characters_are_escaped_as_rfc_8785_has_them_and_others_not_at_all() -> None:
    assert canonical_json({"k": "\b\t\n\f\r\x00\x1f\x7f\u2028é😀"}) == (
        b'{"k":"\\b\\t\\n\\f\\r\\u0000\\u001f' + '\x7f\u2028é😀"}'.encode()
    )


@given(OBJECTS)
def test_the_form_is_the_one_that_another_encoder_gives(value: dict[str, Any]) -> None:
    other = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert canonical_json(value) == other


@given(OBJECTS)
def test_the_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


@given(OBJECTS)
def test_canonical_bytes_are_read_back_and_written_the_same(value: dict[str, Any]) -> None:
    encoded = canonical_json(value)
    assert canonical_json(msgspec.json.decode(encoded)) == encoded


@pytest.mark.parametrize(
    "value",
    [
        {"k": 1.5},
        {"k": None},
        {"k": ["list"]},
        {"k": SAFE_INTEGER + 1},
        {"k": -SAFE_INTEGER - 1},
        {"ключ": "key"},
        {"k": {"é": "key"}},
        {"k": "\ud800"},
    ],
)
def test_what_has_no_canonical_form_here_is_refused(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical_json(value)
