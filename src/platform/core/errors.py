"""Errors of the platform: each carries data; its docstring, filled with that data, is its message."""

from typing import Any, ClassVar


class PlatformError(Exception):
    """Something that the caller asked for cannot be done."""

    fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **data: object) -> None:
        """Keep the data as attributes; the message is the docstring with the data filled in."""
        unexpected = data.keys() ^ set(self.fields)
        if unexpected:
            raise TypeError(f"{type(self).__name__} takes {self.fields}, not {sorted(unexpected)}")
        self.data: dict[str, Any] = data
        summary = (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(summary.format(**data))

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors with keyword data survive pickling."""
        return (_rebuild, (type(self), self.data))


def _rebuild(kind: type[PlatformError], data: dict[str, Any]) -> PlatformError:
    return kind(**data)


# --- who is asking -----------------------------------------------------------------------------


class NotAuthenticated(PlatformError):
    """Authentication is required: {reason}."""

    fields = ("reason",)


class WrongCredentials(PlatformError):
    """Tenant, e-mail or password is wrong."""


class RefreshTokenRefused(PlatformError):
    """The refresh token is unknown, expired, or was used before."""


class NotPermitted(PlatformError):
    """The permission {permission} is needed."""

    fields = ("permission",)


class TenantHeaderDisagrees(PlatformError):
    """The X-Tenant header names another tenant than the token does."""


class SecondFactorRequired(PlatformError):
    """The account has a second factor; send its code as totp."""


class SecondFactorWrong(PlatformError):
    """The code of the second factor is wrong, expired, or was used before."""


class SecondFactorExists(PlatformError):
    """The account has a confirmed second factor already; disable it first."""


class SecondFactorMissing(PlatformError):
    """The account has no confirmed second factor."""


class EnrolmentRequired(PlatformError):
    """The account needs a second factor, and must enrol one first; see /auth/totp."""


class StepUpRequired(PlatformError):
    """A second factor that was shown within the last {minutes} minutes is needed; see /auth/step-up."""

    fields = ("minutes",)


class PasswordTooCommon(PlatformError):
    """The password is too easy to guess."""


class TooManyRequests(PlatformError):
    """Too many requests; try again in {retry_after} seconds."""

    fields: ClassVar[tuple[str, ...]] = ("retry_after", "verdicts")


class AttemptThrottled(TooManyRequests):
    """Too many attempts; try again in {retry_after} seconds."""

    # `held` is what has to wait, the account or the address, the first time in a while that it is refused.
    fields = ("retry_after", "verdicts", "held")


class RoleTooHigh(PlatformError):
    """The role {role} can be given or taken away only by an account that has it, or one above."""

    fields = ("role",)


class LastOwner(PlatformError):
    """A tenant cannot lose its last active OWNER."""


class InvitationRefused(PlatformError):
    """The invitation is unknown, expired, revoked, or was accepted before."""


class EmailInUse(PlatformError):
    """There is an account with this e-mail address already."""


class ResetRefused(PlatformError):
    """The reset token is unknown, expired, or was used before."""


class DownloadRefused(PlatformError):
    """The link is not one of ours, or is no longer good; ask for a new one."""


class TooBusy(PlatformError):
    """Too many sign-ins at once; try again in {retry_after} seconds."""

    fields = ("retry_after",)


# --- what is asked for --------------------------------------------------------------------------


class NotFound(PlatformError):
    """There is no such {what}."""

    fields = ("what",)


class SlugTaken(PlatformError):
    """The slug {slug} is taken."""

    fields = ("slug",)


class TransitionRefused(PlatformError):
    """A tenant that is {state} cannot be asked to {event}."""

    fields = ("state", "event")


class TenantNotWritable(PlatformError):
    """The tenant is {state}; it takes no changes."""

    fields = ("state",)


class TenantNotReady(PlatformError):
    """The tenant is {state}: its schema is still being made."""

    fields = ("state",)


class TenantGone(PlatformError):
    """The tenant is being erased or has been erased."""


class ErasureRefused(PlatformError):
    """An erasure that is {state} cannot be asked to {event}."""

    fields = ("state", "event")


class ErasureCancelled(PlatformError):
    """The erasure was cancelled."""


class ExportsFull(PlatformError):
    """There are {most} exports already; one expires at the latest within {hours} hours."""

    fields = ("most", "hours")


class IdempotencyConflict(PlatformError):
    """The Idempotency-Key {key} was used with another request before, or that request is still running."""

    fields = ("key",)


class ConfirmationMissing(PlatformError):
    """Erasing a tenant must be confirmed with its slug."""


class InvalidInput(PlatformError):
    """The request is not valid; see errors."""

    fields = ("errors",)


class MalformedBody(PlatformError):
    """The body is not valid JSON: {detail}."""

    fields = ("detail",)


class UnsupportedMediaType(PlatformError):
    """The content type {media_type} is not supported here."""

    fields = ("media_type",)


# --- billing --------------------------------------------------------------------------------------


class PriceMissing(PlatformError):
    """No price for {resource} is in force on {day}."""

    fields = ("resource", "day")


class PriceExists(PlatformError):
    """A price for {resource} takes effect on {day} already."""

    fields = ("resource", "day")


class PriceInThePast(PlatformError):
    """A price cannot take effect on {day}: days that are past keep the price they had."""

    fields = ("day",)


class PeriodNotOver(PlatformError):
    """The month {month} is not over yet; look at the preview instead."""

    fields = ("month",)


# --- data protection ------------------------------------------------------------------------------


class UnderLegalHold(PlatformError):
    """A legal hold forbids this since {since}: {reason}."""

    fields = ("reason", "since")


class ProcessingRestricted(PlatformError):
    """The processing of this person's data is restricted; lift the restriction first."""


class CaseStepRefused(PlatformError):
    """A case that is {state} cannot take the step {step}."""

    fields = ("state", "step")


class BeforeHorizon(PlatformError):
    """Usage from before {horizon} was deleted by the retention policy, and is taken no more."""

    fields = ("horizon",)


class NotRestricted(PlatformError):
    """The processing of this person's data is not restricted."""


class LegalHoldLifted(PlatformError):
    """The legal hold was lifted on {day}."""

    fields = ("day",)


# --- operations -------------------------------------------------------------------------------------


class SettingInvalid(PlatformError):
    """The setting {name} is not valid: {reason}."""

    fields = ("name", "reason")


class WorkerLost(PlatformError):
    """The worker was lost in each of {attempts} attempts."""

    fields = ("attempts",)


class MigrationChanged(PlatformError):
    """The migration {name} was changed after it ran in {schema}; add a new migration instead."""

    fields = ("name", "schema")
