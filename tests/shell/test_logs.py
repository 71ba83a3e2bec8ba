"""Logs: JSON lines without secrets and e-mail addresses, whoever writes them."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shell.logs import SECRET_KEYS, rendered

PROGRAM = """
import logging
import sys
import structlog
from shell.logs import configure_logs

class Failure(Exception):
    pass

configure_logs(service="tests", level="INFO")
log = structlog.get_logger()
log.debug("too.quiet")
log.info("said", email="ada@example.com", note="from ada@example.com", number=1)
with structlog.contextvars.bound_contextvars(request_id="r1", tenant_id="t1"):
    log.warning("bound")
def connect(password, url):
    login = f"Login(password={password!r})"
    raise Failure(f"cannot log in to {url} as ada@example.com")
try:
    connect("hunter2", "postgresql://app:hunter2@db/platform")
except Failure:
    log.exception("failed")
logging.getLogger("library").warning("a library says %s", "ada@example.com", extra={"password": "hunter2"})
logging.getLogger("library").info("a library is too quiet")
try:
    raise Failure("bob@example.org")
except Failure:
    logging.getLogger("library").exception("a library failed")
"""


def cleaned(**event: Any) -> dict[str, Any]:
    """The line of an event, read again."""
    return dict(json.loads(rendered(None, "info", dict(event))))


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    """What a process logs that is configured as ours are."""
    root = Path(__file__).parents[2] / "src" / "platform"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(root), "PATH": ""},
    )
    assert done.stderr == ""
    assert "hunter2" not in done.stdout
    assert "@example" not in done.stdout
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_line_is_an_object_with_level_time_and_service(lines: list[dict[str, Any]]) -> None:
    first = lines[0]
    assert (first["event"], first["level"], first["service"], first["number"]) == ("said", "info", "tests", 1)
    assert datetime.fromisoformat(first["timestamp"]).tzinfo == UTC
    assert (first["email"], first["note"]) == ("***", "from ***")


def test_what_is_quieter_than_the_level_is_left_out(lines: list[dict[str, Any]]) -> None:
    assert [line["event"] for line in lines] == [
        "said",
        "bound",
        "failed",
        "a library says ***",
        "a library failed",
    ]


def test_what_a_request_binds_is_in_its_lines_only(lines: list[dict[str, Any]]) -> None:
    assert [line.get("request_id") for line in lines] == [None, "r1", None, None, None]


def test_an_exception_says_where_it_came_from(lines: list[dict[str, Any]]) -> None:
    (exception,) = lines[2]["exception"]
    assert exception["exc_type"] == "Failure"
    assert exception["exc_value"] == "cannot log in to postgresql://***@db/platform as ***"
    assert [frame["name"] for frame in exception["frames"]] == ["<module>", "connect"]


def test_the_lines_of_libraries_are_cleaned_as_well(lines: list[dict[str, Any]]) -> None:
    assert lines[3]["password"] == "***"
    assert lines[4]["exception"][0]["exc_value"] == "***"


@pytest.mark.parametrize("key", [*sorted(SECRET_KEYS), "Password", "AUTHORIZATION", "Access_Token"])
@pytest.mark.parametrize("value", ["hunter2", b"hunter2", 42, None, ["hunter2"], {"a": "hunter2"}])
def test_what_stands_under_the_name_of_a_secret_is_blanked(key: str, value: object) -> None:
    assert cleaned(**{key: value}) == {key: "***"}
    assert cleaned(outer={key: value}) == {"outer": {key: "***"}}
    assert cleaned(outer=[{"inner": ({key: value},)}]) == {"outer": [{"inner": [{key: "***"}]}]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada@example.com", "***"),
        ("sent to <ada@example.com>, bob@example.org.", "sent to <***>, ***"),
        ("Key (email)=(ada@example.com) already exists.", "Key (email)=(***) already exists."),
        ("ada+tag@mail.example.co.uk", "***"),
        ("ädä@exämple.de", "***"),
        ("mailto:ada@example.com", "mailto:***"),
        ("postgresql://app:hunter2@db:5432/platform", "postgresql://***@db:5432/platform"),
        ("redis://:hunter2@redis/0", "redis://***@redis/0"),
        ("postgresql://app:hunter2@/platform?host=%2Ftmp", "postgresql://***@/platform?host=%2Ftmp"),
        ("2 @ 3", "2 @ 3"),
        ("no address at all", "no address at all"),
    ],
)
def test_addresses_and_credentials_are_blanked_wherever_they_stand(text: str, expected: str) -> None:
    assert cleaned(note=text) == {"note": expected}
    assert cleaned(event=text, outer={"list": [text]}) == {"event": expected, "outer": {"list": [expected]}}


class Opaque:
    def __repr__(self) -> str:
        return "<Opaque of ada@example.com at postgresql://app:hunter2@db>"


@pytest.mark.parametrize(
    "value",
    [
        Opaque(),
        ValueError("ada@example.com"),
        b"ada@example.com",
        {"ada@example.com"},
        {"ada@example.com": 1},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_of_any_other_type_is_cleaned_as_it_would_be_written(value: object) -> None:
    shown = json.dumps(cleaned(value=value), default=repr)
    assert "example.com" not in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize("value", [None, True, 0, 1.5, UUID(int=1), datetime(2026, 1, 1, tzinfo=UTC)])
def test_other_values_can_still_be_read(value: object) -> None:
    assert json.dumps(cleaned(value=value), default=repr) == json.dumps({"value": value}, default=repr)


local = st.text("abcdefghijklmnopqrstuvwxyz0123456789._+-", min_size=1, max_size=20)
domain = st.from_regex(r"[a-z0-9]{1,10}(\.[a-z0-9]{1,10}){1,3}", fullmatch=True)
around = st.text(max_size=20)


@given(local, domain, around, around)
def test_no_address_survives_between_any_words(local: str, domain: str, before: str, after: str) -> None:
    shown = cleaned(note=f"{before} {local}@{domain} {after}")["note"]
    assert f"{local}@{domain}" not in shown


def test_half_of_a_surrogate_pair_is_logged_as_its_escape() -> None:
    assert cleaned(event="read", name="\ud800.csv") == {"event": "read", "name": "\ud800.csv"}
