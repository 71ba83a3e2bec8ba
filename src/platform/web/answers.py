"""Answers of handlers that return a value: JSON, encoded and sent with no more than that needs."""

from typing import Any

from litestar import MediaType, Response
from litestar.serialization import encode_json
from litestar.types import ASGIApp, Receive, Scope, Send


class Answer(Response[Any]):
    """What a handler's value becomes; anything but plain JSON takes the framework's own way."""

    def to_asgi_response(self, *arguments: Any, **options: Any) -> ASGIApp:  # type: ignore[override]
        """The answer as it is sent."""
        has_more = options.get("headers") or options.get("cookies") or self.background
        if has_more or self.media_type != MediaType.JSON or self.content is None:
            return super().to_asgi_response(*arguments, **options)
        return encoded(self.status_code or 200, self.content)


def encoded(status: int, value: Any) -> ASGIApp:
    """An answer that sends a value as JSON."""
    return _Encoded(status, encode_json(value))


class _Encoded:
    """An ASGI application that sends some JSON."""

    def __init__(self, status: int, body: bytes) -> None:
        """Keep what is to be sent."""
        self._status = status
        self._body = body

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the head and the body."""
        length = str(len(self._body)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})
