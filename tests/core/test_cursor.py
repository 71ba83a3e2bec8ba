import json
from base64 import urlsafe_b64encode
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cursor import decode_cursor, encode_cursor
from core.errors import InvalidInput
from tests.core.strategies import any_instants

Key = tuple[datetime, str, str]
KEY = (datetime(2026, 11, 23, 10, tzinfo=UTC), "vm-1", "1")

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)


def cursor_of(*parts: Any) -> str:
    return as_cursor(json.dumps(parts).encode())


def as_cursor(text: bytes) -> str:
    return urlsafe_b64encode(text).rstrip(b"=").decode()


@given(st.tuples(any_instants, texts, texts))
def test_a_cursor_continues_after_the_key_that_it_was_made_of(key: tuple[datetime, str, str]) -> None:
    assert decode_cursor(encode_cursor(key), tuple[datetime, str, str]) == key


@given(st.tuples(st.dates(), st.uuids()))
def test_a_cursor_keeps_days_and_ids(key: tuple[date, UUID]) -> None:
    assert decode_cursor(encode_cursor(key), tuple[date, UUID]) == key


@given(st.tuples(any_instants, texts, texts))
def test_a_cursor_needs_no_escaping_in_an_address(key: tuple[datetime, str, str]) -> None:
    assert encode_cursor(key).replace("-", "a").replace("_", "a").isalnum()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "=",
        "a",
        "!!!",
        "null",
        "é",
        "\x00",
        "\ud800",
        encode_cursor(KEY)[:-1],
        encode_cursor(KEY) + "AAAA",
        encode_cursor(KEY[:2]),
        encode_cursor((*KEY, "more")),
        encode_cursor((date(2026, 11, 23), UUID(int=1))),  # a cursor of another list
        encode_cursor(("2026-11", UUID(int=1))),
        as_cursor(b""),
        as_cursor(b"{}"),
        as_cursor(b"null"),
        as_cursor(b"[" * 100_000),
        as_cursor(b'["2026-11-23T10:00:00Z","' + b"[" * 1_000),
        as_cursor(b'["2026-11-23T10:00:00Z","\xff","1"]'),
        cursor_of("now", "vm-1", "1"),
        cursor_of("2026-11-23T10:00:00", "vm-1", "1"),  # an instant without an offset is none
        cursor_of("2026-11-23T10:00:00Z", "vm-1\x00", "1"),  # PostgreSQL's texts have no NUL
        cursor_of("2026-11-23T10:00:00Z", "vm-1", "\x00"),
        cursor_of("0001-01-01T00:00:00+14:00", "vm-1", "1"),  # before the first year there is
        cursor_of("9999-12-31T23:59:59-12:00", "vm-1", "1"),
    ],
)
def test_a_forged_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        decode_cursor(cursor, tuple[datetime, str, str])
    assert refused.value.data["errors"] == [{"field": "cursor", "detail": "is not a cursor of this list"}]


@given(st.text(max_size=60) | st.binary(max_size=60).map(as_cursor))
def test_any_text_is_a_cursor_or_refused(cursor: str) -> None:
    try:
        instant, source, key = decode_cursor(cursor, tuple[datetime, str, str])
    except InvalidInput:
        return
    assert instant.tzinfo is not None
    assert "\x00" not in source + key
