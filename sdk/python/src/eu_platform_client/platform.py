"""A connection to the platform: signs in, sends again, and raises errors, for all generated functions."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import httpx
from eu_platform_client.generated.api.accounts import get_me
from eu_platform_client.generated.client import AuthenticatedClient
from eu_platform_client.metering import Meter
from eu_platform_client.problem import ok, problem_of
from eu_platform_client.retry import KEY_HEADER, Backoff, RetryingTransport, takes_key
from eu_platform_client.sign_in import LOGIN, AccountAuth, ApiKeyAuth, tokens_of
from eu_platform_client.spool import Event

TIMEOUT_SECONDS = 30.0
LOGOUT = "/api/v1/auth/logout"


class RaisingClient(httpx.Client):
    """An HTTP client that raises ApiProblem for errors, and gives each request that makes something a key."""

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """The response, where it is no error; the key stays the same however often the request is sent."""
        if takes_key(request) and KEY_HEADER not in request.headers:
            request.headers[KEY_HEADER] = str(uuid4())
        response = super().send(request, **options)
        if response.is_error:
            response.read()
            raise problem_of(response)
        return response


class Platform:
    """The platform as one caller sees it; `client` is what the generated functions take.

    Threads may share it. Close it, or use it in `with`.
    """

    def __init__(
        self,
        base_url: str,
        auth: httpx.Auth,
        *,
        tenant_id: UUID | None = None,
        backoff: Backoff = Backoff(),  # noqa: B008 -- a frozen value
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Made by `log_in` or `with_api_key`; `transport` is what requests go through, such as a proxy's."""
        self._auth = auth
        self._tenant_id = tenant_id
        self._http = RaisingClient(
            base_url=base_url,
            auth=auth,
            timeout=TIMEOUT_SECONDS,
            transport=RetryingTransport(transport or httpx.HTTPTransport(), backoff),
        )
        self._meters: list[Meter] = []
        self.client = AuthenticatedClient(base_url=base_url, token="")  # the HTTP client has its own
        self.client.set_httpx_client(self._http)

    @classmethod
    def log_in(
        cls,
        base_url: str,
        *,
        tenant: str,
        email: str,
        password: str,
        totp: str | None = None,
        backoff: Backoff = Backoff(),  # noqa: B008 -- a frozen value
    ) -> Self:
        """As an account; raises ApiProblem. The password is not kept: when the session ends, log in again."""
        credentials = {"tenant": tenant, "email": email, "password": password, "totp": totp}
        http = httpx.Client(
            base_url=base_url,
            timeout=TIMEOUT_SECONDS,
            transport=RetryingTransport(httpx.HTTPTransport(), backoff),
        )
        with ExitStack() as unless_signed_in:
            unless_signed_in.callback(http.close)
            response = http.post(LOGIN, json={key: value for key, value in credentials.items() if value})
            platform = cls(base_url, AccountAuth(http, tokens_of(response)), backoff=backoff)
            unless_signed_in.callback(platform.close)
            me = ok(get_me.sync(client=platform.client))
            unless_signed_in.pop_all()
        platform._tenant_id = me.tenant.id if me.tenant else None
        return platform

    @classmethod
    def with_api_key(
        cls,
        base_url: str,
        key: str,
        *,
        tenant_id: UUID | str,
        backoff: Backoff = Backoff(),  # noqa: B008 -- a frozen value
    ) -> Self:
        """As a machine of a tenant; nothing is sent yet."""
        return cls(base_url, ApiKeyAuth(key), tenant_id=UUID(str(tenant_id)), backoff=backoff)

    @property
    def tenant_id(self) -> UUID:
        """The caller's own tenant; raises LookupError for accounts of the platform, which have none."""
        if self._tenant_id is None:
            raise LookupError("an account of the platform has no tenant")
        return self._tenant_id

    def meter(self, *, source: str, spool: Path | None = None, **options: Any) -> Meter:
        """A meter of this tenant's usage, which closing the platform closes; options are those of Meter."""
        meter = Meter(self._record, source=source, spool=spool, **options)
        self._meters.append(meter)
        return meter

    def log_out(self) -> None:
        """End the account's session, and close."""
        for meter in self._meters:
            meter.close()
        if isinstance(self._auth, AccountAuth):
            self._http.post(LOGOUT, json={"refresh_token": self._auth.refresh_token})
        self.close()

    def close(self) -> None:
        """Close all meters and connections."""
        try:
            for meter in self._meters:
                meter.close()
        finally:
            self._http.close()
            if isinstance(self._auth, AccountAuth):
                self._auth.close()

    def __enter__(self) -> Self:
        """The platform itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _record(self, events: Sequence[Event]) -> list[dict[str, Any]]:
        """Store what is good of a batch, and give what is not."""
        path = f"/api/v1/tenants/{self.tenant_id}/usage"
        answer = self._http.post(path, json=list(events), headers={"Prefer": "handling=lenient"})
        rejected: list[dict[str, Any]] = answer.json()["rejected"]
        return rejected
