"""Problem details (RFC 9457): every error of the API, in one table."""

from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from asyncpg.exceptions import CharacterNotInRepertoireError
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec

from core import errors
from shell.database import UNAVAILABLE
from shell.object_store import StoreUnavailable
from web.rate_limit_fields import rate_limit_fields

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:eu-platform:problem:"

log = structlog.get_logger()


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong, and where: a field of the body, or an event of the batch."""

    detail: str
    field: str | None = None
    index: int | None = None


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Problem details as RFC 9457 has them; `type` never changes for the same kind of error."""

    type: str
    title: str
    status: int
    detail: str = ""
    request_id: str | None = None
    errors: list[FieldError] = []


class Kind(msgspec.Struct, frozen=True):
    """How an error of the platform is answered."""

    status: int
    name: str
    title: str


KINDS: dict[type[errors.PlatformError], Kind] = {
    errors.NotAuthenticated: Kind(401, "not-authenticated", "Authentication required"),
    errors.WrongCredentials: Kind(401, "wrong-credentials", "Wrong credentials"),
    errors.RefreshTokenRefused: Kind(401, "refresh-token-refused", "Refresh token refused"),
    errors.SecondFactorRequired: Kind(401, "second-factor-required", "Second factor required"),
    errors.SecondFactorWrong: Kind(401, "second-factor-wrong", "Second factor wrong"),
    errors.SecondFactorExists: Kind(409, "second-factor-exists", "Second factor exists"),
    errors.SecondFactorMissing: Kind(409, "second-factor-missing", "No second factor"),
    errors.EnrolmentRequired: Kind(403, "enrolment-required", "Second factor must be enrolled"),
    errors.StepUpRequired: Kind(403, "step-up-required", "Step-up required"),
    errors.NotPermitted: Kind(403, "not-permitted", "Not permitted"),
    errors.DownloadRefused: Kind(403, "download-refused", "Download refused"),
    errors.RoleTooHigh: Kind(403, "role-too-high", "Role too high"),
    errors.TenantNotWritable: Kind(403, "tenant-not-writable", "Tenant takes no changes"),
    errors.NotFound: Kind(404, "not-found", "Not found"),
    errors.SlugTaken: Kind(409, "slug-taken", "Slug taken"),
    errors.TransitionRefused: Kind(409, "transition-refused", "Not possible in this state"),
    errors.ErasureRefused: Kind(409, "erasure-refused", "Not possible for this erasure"),
    errors.TenantNotReady: Kind(409, "tenant-not-ready", "Tenant not ready"),
    errors.IdempotencyConflict: Kind(409, "idempotency-conflict", "Idempotency key used before"),
    errors.ExportsFull: Kind(409, "exports-full", "Too many exports"),
    errors.LastOwner: Kind(409, "last-owner", "Last owner"),
    errors.EmailInUse: Kind(409, "email-in-use", "E-mail address in use"),
    errors.PriceExists: Kind(409, "price-exists", "Price exists"),
    errors.InvitationRefused: Kind(422, "invitation-refused", "Invitation refused"),
    errors.PriceInThePast: Kind(422, "price-in-the-past", "Price in the past"),
    errors.PeriodNotOver: Kind(409, "period-not-over", "Period not over"),
    errors.UnderLegalHold: Kind(409, "legal-hold", "Under legal hold"),
    errors.ProcessingRestricted: Kind(409, "processing-restricted", "Processing restricted"),
    errors.CaseStepRefused: Kind(409, "case-step-refused", "Not possible for this case"),
    errors.BeforeHorizon: Kind(422, "before-horizon", "Before the retention horizon"),
    errors.NotRestricted: Kind(409, "not-restricted", "Not restricted"),
    errors.LegalHoldLifted: Kind(409, "legal-hold-lifted", "Legal hold lifted"),
    errors.TenantGone: Kind(410, "tenant-gone", "Tenant gone"),
    errors.MalformedBody: Kind(400, "malformed-body", "Malformed body"),
    errors.TenantHeaderDisagrees: Kind(400, "tenant-header-disagrees", "X-Tenant disagrees with the token"),
    errors.UnsupportedMediaType: Kind(415, "unsupported-media-type", "Unsupported media type"),
    errors.InvalidInput: Kind(422, "invalid-input", "Invalid input"),
    errors.ConfirmationMissing: Kind(422, "confirmation-missing", "Confirmation missing"),
    errors.PasswordTooCommon: Kind(422, "password-too-common", "Password too easy to guess"),
    errors.ResetRefused: Kind(422, "reset-refused", "Reset token refused"),
    errors.TooManyRequests: Kind(429, "too-many-requests", "Too many requests"),
    errors.AttemptThrottled: Kind(429, "too-many-requests", "Too many requests"),
    errors.TooBusy: Kind(429, "too-busy", "Too busy"),
}

HTTP_KINDS: dict[int, Kind] = {
    400: Kind(400, "bad-request", "Bad request"),
    404: Kind(404, "not-found", "Not found"),
    405: Kind(405, "method-not-allowed", "Method not allowed"),
    413: Kind(413, "body-too-large", "Body too large"),
    415: Kind(415, "unsupported-media-type", "Unsupported media type"),
    422: Kind(422, "invalid-input", "Invalid input"),
}

HTTP_UNAUTHORIZED = 401
BODY = "data"
"""What the framework calls a handler's body."""

INTERNAL = Kind(500, "internal-error", "Internal error")
UNAVAILABLE_KIND = Kind(503, "unavailable", "Temporarily unavailable")


PROBLEM_TYPES = sorted(
    {TYPE_PREFIX + kind.name for kind in (*KINDS.values(), *HTTP_KINDS.values(), INTERNAL, UNAVAILABLE_KIND)}
)
"""Every `type` that is answered today; clients must bear one that is added later."""


def on_platform_error(request: Request[Any, Any, Any], error: errors.PlatformError) -> Response[Problem]:
    """Answer an error of ours by the table; one that is not in it is a bug, and a 500."""
    kind = next((KINDS[base] for base in type(error).__mro__ if base in KINDS), None)
    if kind is None:
        return on_bug(request, error)
    found = msgspec.convert(error.data.get("errors", []), list[FieldError])
    return _response(request, kind, str(error), found, headers=_headers(kind, error.data))


def on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """Answer an error that the framework raised."""
    if isinstance(error, ValidationException):
        found = _fields(request, error)
        return _response(request, HTTP_KINDS[422], "The request is not valid; see errors.", found)
    if error.status_code >= INTERNAL.status:
        return on_bug(request, error)
    kind = HTTP_KINDS.get(error.status_code)
    if kind is None:
        kind = Kind(error.status_code, f"http-{error.status_code}", "Request refused")
    headers = {key: value for key, value in (error.headers or {}).items() if key.lower() == "allow"}
    return _response(request, kind, error.detail, headers=headers)


def on_bug(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Answer what nobody foresaw, without a word of what it was; the log has it, by the request id."""
    if isinstance(error, UNAVAILABLE):
        log.warning("database.unavailable", error=type(error).__name__)
        detail = "The database does not answer; try again."
        return _response(request, UNAVAILABLE_KIND, detail, headers={"Retry-After": "2"})
    if isinstance(error, StoreUnavailable):
        log.warning("object_store.unavailable", error=str(error))
        detail = "The object store does not answer; try again."
        return _response(request, UNAVAILABLE_KIND, detail, headers={"Retry-After": "2"})
    if isinstance(error, CharacterNotInRepertoireError):  # U+0000, which PostgreSQL keeps in no text
        return _response(request, KINDS[errors.InvalidInput], "A text has a character that cannot be stored.")
    log.error("request.failed", exc_info=error)
    return _response(request, INTERNAL, "Something went wrong here; the request id finds it in the log.")


def _response(
    request: Request[Any, Any, Any],
    kind: Kind,
    detail: str,
    found: list[FieldError] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> Response[Problem]:
    problem = Problem(
        type=TYPE_PREFIX + kind.name,
        title=kind.title,
        status=kind.status,
        detail=detail,
        request_id=request.scope.get("state", {}).get("request_id"),
        errors=found or [],
    )
    return Response(problem, status_code=kind.status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def _headers(kind: Kind, data: Mapping[str, Any]) -> dict[str, str]:
    if kind.status == HTTP_UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    waiting = {"Retry-After": str(data["retry_after"])} if "retry_after" in data else {}
    return waiting | (rate_limit_fields(data["verdicts"]) if "verdicts" in data else {})


def _fields(request: Request[Any, Any, Any], error: ValidationException) -> list[FieldError]:
    extra = error.extra if isinstance(error.extra, list) else []
    return [_field_error(request, item) for item in extra if isinstance(item, dict)]


def _field_error(request: Request[Any, Any, Any], item: dict[str, Any]) -> FieldError:
    """What is wrong, with the place by the name that the caller knows: the framework says the handler's."""
    key, detail = str(item.get("key", BODY)), str(item.get("message", "is not valid"))
    if key == BODY:
        return FieldError("is missing" if detail == repr(BODY) else detail, "$")
    parameter = request.route_handler.parsed_fn_signature.parameters.get(key)
    name = getattr(parameter.kwarg_definition, "name", None) if parameter is not None else None
    return FieldError(detail, name or key)


EXCEPTION_HANDLERS: dict[int | type[Exception], Any] = {
    errors.PlatformError: on_platform_error,
    HTTPException: on_http_error,
    Exception: on_bug,
}

DESCRIPTIONS = {
    400: "The request cannot be read.",
    401: "No valid access token.",
    403: "Not permitted.",
    404: "There is no such thing, or not for this caller.",
    409: "Not possible in the present state.",
    410: "The tenant is being erased or has been erased.",
    413: "The body is too large.",
    415: "The content type is not supported.",
    422: "The input is not valid; see errors.",
    429: "Too many requests; see Retry-After.",
    500: "Something went wrong here; the request id finds it in the log.",
    503: "The database does not answer; see Retry-After.",
}


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """The error responses of an operation, for its OpenAPI description."""
    return {
        status: ResponseSpec(
            Problem, description=DESCRIPTIONS[status], media_type=MEDIA_TYPE, generate_examples=False
        )
        for status in statuses
    }


REGISTRY_PROBLEMS = (401, 403, 404, 410)
"""What any route under /tenants/{tenant_id} may answer."""

TENANT_PROBLEMS = (*REGISTRY_PROBLEMS, 409)
"""What a route may answer that reads or writes a tenant's own schema, which a new tenant has yet to get."""
