import hashlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.audit import SYSTEM, AuditEntry, CanonicalEntry, Written, canonical_entry, private_part
from core.canonical import canonical_json

SALT = bytes(32)
ENTRY = Written(
    id=UUID(int=1),
    chain="platform",
    occurred_at=datetime(2026, 11, 25, 1, 2, 3, 4, tzinfo=UTC),
    actor_kind="user",
    actor_id=UUID(int=2),
    action="tenant.suspend",
    subject="tenant:1",
    outcome="success",
    request_id="r1",
    address="192.0.2.1",
    details='{"from":"ACTIVE","to":"SUSPENDED"}',
)


def test_an_entry_has_these_canonical_bytes() -> None:
    private = b'{"address":"192.0.2.1","details":{"from":"ACTIVE","to":"SUSPENDED"}}'
    assert private_part(ENTRY.address, ENTRY.details) == private
    expected = (
        '{"action":"tenant.suspend","actor_id":"00000000-0000-0000-0000-000000000002","actor_kind":"user",'
        '"chain":"platform","commitment":"' + hashlib.sha256(SALT + private).hexdigest() + '",'
        '"id":"00000000-0000-0000-0000-000000000001","occurred_at":"2026-11-25T01:02:03.000004Z",'
        '"outcome":"success","request_id":"r1","sequence":7,"subject":"tenant:1","version":1}'
    )
    assert canonical_entry(ENTRY, sequence=7, salt=SALT).decode() == expected


def test_what_is_absent_is_left_out() -> None:
    bare = msgspec.structs.replace(ENTRY, actor_id=None, request_id=None, address=None, details="{}")
    encoded = canonical_entry(bare, sequence=0, salt=SALT)
    assert b"actor_id" not in encoded
    assert b"request_id" not in encoded
    assert b"null" not in encoded
    assert private_part(None, "{}") == b'{"details":{}}'


def test_the_hashed_part_holds_neither_address_nor_details() -> None:
    encoded = canonical_entry(ENTRY, sequence=0, salt=SALT).decode()
    assert "192.0.2.1" not in encoded
    assert "SUSPENDED" not in encoded


def test_the_fields_stand_in_the_order_of_their_names() -> None:
    names = [field.encode_name for field in msgspec.structs.fields(CanonicalEntry)]
    assert names == sorted(names)


@given(st.text(max_size=20), st.text(max_size=20), st.integers(0, 2**53 - 1))
def test_canonical_bytes_are_canonical_whatever_was_written(action: str, subject: str, sequence: int) -> None:
    entry = msgspec.structs.replace(ENTRY, action=action, subject=subject)
    encoded = canonical_entry(entry, sequence=sequence, salt=SALT)
    assert canonical_json(msgspec.json.decode(encoded)) == encoded


def test_another_time_zone_gives_the_same_bytes() -> None:
    east = ENTRY.occurred_at.astimezone(timezone(timedelta(hours=5)))
    moved = msgspec.structs.replace(ENTRY, occurred_at=east)
    assert canonical_entry(moved, sequence=0, salt=SALT) == canonical_entry(ENTRY, sequence=0, salt=SALT)


@pytest.mark.parametrize(
    "text", ["no json", "[1]", '{"a":1.5}', '{"a":null}', '{"ä":"b"}', '{"a":{"b":"c"}}']
)
def test_details_of_another_form_are_kept_as_text(text: str) -> None:
    assert private_part(None, text) == canonical_json({"details": {"text": text}})


def test_details_are_brought_into_their_canonical_form() -> None:
    assert private_part(None, '{ "b": true, "a": 1 }') == b'{"details":{"a":1,"b":true}}'


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": "user:ada@example.com"},
        {"subject": "Ada Lovelace"},
        {"subject": ""},
        {"action": "Tenant Suspended"},
        {"details": {"share": 0.5}},
        {"details": {"größe": "1"}},
        {"details": {"key": None}},
    ],
)
def test_an_entry_that_cannot_be_kept_for_good_is_refused(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"action": "test", "subject": "test:1", "actor": SYSTEM}
    AuditEntry(**right)
    with pytest.raises((ValueError, TypeError)):
        AuditEntry(**right | wrong)
