"""A small HTTP client of our own API, for what the command line does over HTTP like any user."""

import json
import urllib.error
import urllib.request
from typing import Any

from core.errors import PlatformError

TIMEOUT_SECONDS = 30


class ApiRefused(PlatformError):
    """The API answered {status} to {method} {path}: {detail}"""

    fields = ("status", "method", "path", "detail")


class ApiClient:
    """Calls the API at a base URL, with an access token once it has logged in."""

    def __init__(self, base_url: str) -> None:
        """Not logged in yet."""
        self._base_url = base_url
        self._token: str | None = None

    def log_in(self, *, tenant: str, email: str, password: str) -> None:
        """Get an access token and send it from now on."""
        credentials = {"tenant": tenant, "email": email, "password": password}
        self._token = self.post("/api/v1/auth/login", credentials)["access_token"]

    def get(self, path: str) -> Any:
        """The answer to a GET; raises ApiRefused."""
        return self._call("GET", path, None)

    def post(self, path: str, body: object) -> Any:
        """The answer to a POST; raises ApiRefused."""
        return self._call("POST", path, body)

    def is_ready(self) -> bool:
        """Whether the API serves requests."""
        try:
            self.get("/health/ready")
        except (OSError, ApiRefused):
            return False
        return True

    def _call(self, method: str, path: str, body: object) -> Any:
        headers = {"Content-Type": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base_url + path, data, headers, method=method)  # noqa: S310 -- our own URL
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 -- our own URL
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise ApiRefused(
                    status=error.code, method=method, path=path, detail=_detail(error)
                ) from error


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        problem = json.loads(error.read())
    except ValueError:
        return error.reason
    return str(problem.get("detail") or problem.get("title"))
