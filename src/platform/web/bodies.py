"""Bodies: JSON whose values have the types that the API's document names, and no others.

What is no JSON is the caller's error, whatever the decoder calls it. The framework reads a body as it
reads a query, where 0 and "no" may mean false and "5" five: here they are refused.
"""

import re
from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import SerializationException, ValidationException

from core.errors import MalformedBody

PLACE = re.compile(r"^(?P<detail>.*) - at `\$\.?(?P<field>.*)`$", re.DOTALL)


class ApiRequest(Request[Any, Any, Any]):
    """A request whose body is JSON of the right types, or refused."""

    async def json(self) -> Any:
        """The decoded body; raises MalformedBody, and ValidationException for a value of a wrong type."""
        body = await self._decoded()
        wanted = self.route_handler.parsed_data_field
        if wanted is not None and body is not None:
            _refuse_lookalikes(body, wanted.annotation)
        return body

    async def _decoded(self) -> Any:
        try:
            return await super().json()
        except SerializationException as error:
            raise MalformedBody(detail=str(error)) from error
        except UnicodeDecodeError as error:
            raise MalformedBody(detail="it is not UTF-8") from error
        except RecursionError as error:
            raise MalformedBody(detail="it is nested too deeply") from error


def _refuse_lookalikes(body: Any, wanted: Any) -> None:
    """Raise where only a lenient reading makes the body what is wanted; the framework tells other faults."""
    try:
        msgspec.convert(body, wanted)
    except msgspec.ValidationError as error:
        if _is_acceptable_leniently(body, wanted):
            found = PLACE.match(str(error))
            fault = (
                {"message": str(error)}
                if found is None
                else {"message": found["detail"], "key": found["field"]}
            )
            raise ValidationException(extra=[fault]) from error


def _is_acceptable_leniently(body: Any, wanted: Any) -> bool:
    try:
        msgspec.convert(body, wanted, strict=False)
    except msgspec.ValidationError:
        return False
    return True
