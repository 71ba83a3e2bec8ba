import pickle
from string import Formatter

import pytest

from core import errors
from core.errors import InvalidInput, NotPermitted, PlatformError, TenantGone, TransitionRefused


def kinds(kind: type[PlatformError] = PlatformError) -> list[type[PlatformError]]:
    """Every error of core.errors, by its class."""
    found = [below for child in kind.__subclasses__() for below in (child, *kinds(child))]
    return [each for each in found if each.__module__ == errors.__name__]


def test_the_message_is_the_docstring_with_the_data_filled_in() -> None:
    error = TransitionRefused(state="DELETED", event="activate")
    assert str(error) == "A tenant that is DELETED cannot be asked to activate."
    assert error.data == {"state": "DELETED", "event": "activate"}
    assert str(TenantGone()) == "The tenant is being erased or has been erased."


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_every_error_is_a_sentence_about_its_data(kind: type[PlatformError]) -> None:
    docstring = kind.__doc__ or ""
    summary = docstring.strip().splitlines()[0]
    named = {field for _, field, _, _ in Formatter().parse(summary) if field}
    assert named <= set(kind.fields)
    message = str(kind(**dict.fromkeys(kind.fields, "{odd}")))
    assert message.count("{odd}") == len(named)  # braces in the data are left alone
    assert message.endswith((".", "{odd}."))


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling_with_its_data(kind: type[PlatformError]) -> None:
    error = kind(**dict.fromkeys(kind.fields, "x"))
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 -- our own bytes
    assert (type(copy), copy.data, str(copy)) == (kind, error.data, str(error))


def test_an_error_with_missing_or_unknown_data_is_a_bug() -> None:
    with pytest.raises(TypeError, match="permission"):
        NotPermitted()
    with pytest.raises(TypeError, match="role"):
        NotPermitted(permission="usage:write", role="VIEWER")
    with pytest.raises(TypeError, match="reason"):
        TenantGone(reason="erased")


def test_errors_of_fields_are_data_not_prose() -> None:
    error = InvalidInput(errors=[{"field": "slug", "detail": "is reserved"}])
    assert str(error) == "The request is not valid; see errors."
    assert error.data["errors"] == [{"field": "slug", "detail": "is reserved"}]
