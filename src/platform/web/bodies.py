"""Bodies: what is no JSON is the caller's error, whatever the decoder calls it."""

from typing import Any

from litestar import Request
from litestar.exceptions import SerializationException

from core.errors import MalformedBody


class ApiRequest(Request[Any, Any, Any]):
    """A request whose body is JSON, or refused."""

    async def json(self) -> Any:
        """The decoded body; raises MalformedBody."""
        try:
            return await super().json()
        except SerializationException as error:
            raise MalformedBody(detail=str(error)) from error
        except UnicodeDecodeError as error:
            raise MalformedBody(detail="it is not UTF-8") from error
        except RecursionError as error:
            raise MalformedBody(detail="it is nested too deeply") from error
