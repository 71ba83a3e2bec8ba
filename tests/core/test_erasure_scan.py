"""Erased people are found wherever a text names them, and nobody else is."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.erasure import Identifiers
from core.erasure_scan import Trace, found_in, wanted

ID = UUID("0a3d3f4e-5b6c-4d7e-8f90-a1b2c3d4e5f6")
WHOM = wanted(
    Identifiers(
        emails=frozenset({"ada@example.com"}),
        names=frozenset({"Ada Lovelace", "Łucja Müller-Braun", "Plato"}),
        user_ids=frozenset({ID}),
    )
)


@pytest.mark.parametrize(
    ("text", "trace"),
    [
        ("ada@example.com", Trace.EMAIL),
        ('{"to":"ADA@Example.com"}', Trace.EMAIL),
        ("<ada@example.com>,", Trace.EMAIL),
        ("mailto:ada@example.com?subject=x", Trace.EMAIL),
        ("/reset?to=ada%40example.com", Trace.EMAIL),
        ("user=ada@example.com", Trace.EMAIL),
        ("ada\\u0040example.com", Trace.EMAIL),
        ("ADA  LOVELACE", Trace.NAME),
        ('["Ada","Lovelace"]', Trace.NAME),
        ("\\u0141ucja M\\u00fcller-Braun", Trace.NAME),
        ("Łucja Mu\u0308ller-Braun", Trace.NAME),
        (f"user:{ID}", Trace.USER_ID),
        (ID.hex.upper(), Trace.USER_ID),
    ],
)
def test_a_person_is_found_in(text: str, trace: Trace) -> None:
    assert dict(found_in(text, WHOM)) == {trace: 1}


@pytest.mark.parametrize(
    "text",
    ["", "aada@example.com", "ada@example.community", "Ada", "Lovelace Ada", "Plato", str(UUID(int=7))],
)
def test_nobody_is_found_in(text: str) -> None:
    assert not found_in(text, WHOM)


@given(st.text())
def test_any_text_can_be_looked_through(text: str) -> None:
    found_in(text, WHOM)
