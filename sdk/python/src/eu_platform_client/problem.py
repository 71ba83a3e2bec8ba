"""Errors of the API as exceptions."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar

import httpx
from eu_platform_client.generated.models.problem import Problem

PREFIX = "urn:eu-platform:problem:"

Answer = TypeVar("Answer")


class ApiProblem(Exception):
    """An error that the API answered, as RFC 9457 has it; `kind` never changes for the same error."""

    def __init__(self, status: int, body: Mapping[str, Any], *, retry_after: float | None) -> None:
        """What was answered; without a body that is a problem, the status speaks alone."""
        self.status = status
        self.kind = str(body.get("type", "")).removeprefix(PREFIX)
        self.title = str(body.get("title", "")) or HTTPStatus(status).phrase
        self.detail = str(body.get("detail", ""))
        self.request_id: str | None = body.get("request_id")
        self.errors: list[dict[str, Any]] = list(body.get("errors", []))
        self.retry_after = retry_after
        places = "".join(
            f"; {each.get('field', each.get('index', ''))}: {each['detail']}" for each in self.errors
        )
        super().__init__(f"{status} {self.title}: {self.detail}{places} (request {self.request_id})")


def problem_of(response: httpx.Response) -> ApiProblem:
    """The exception for a response that is an error; its body must have been read."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    return ApiProblem(
        response.status_code, body if isinstance(body, dict) else {}, retry_after=retry_after(response)
    )


def retry_after(response: httpx.Response) -> float | None:
    """The seconds that a response asks to wait (RFC 9110 section 10.2.3), None where it asks for nothing."""
    value = response.headers.get("retry-after")
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        instant = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (instant.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def ok(answer: Answer | Problem | None) -> Answer:
    """The answer of a generated function, typed without the errors that are raised as ApiProblem."""
    if answer is None or isinstance(answer, Problem):
        raise TypeError(f"an answer that is not documented: {answer!r}")
    return answer
