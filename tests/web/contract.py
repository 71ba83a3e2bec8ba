"""The OpenAPI document as a contract: every answer that any test gets must be one that it announces."""

import re
from typing import Any

import httpx

METHODS = ("get", "post", "put", "patch", "delete")


class Contract:
    """The operations of a document, found by method and path."""

    def __init__(self, document: dict[str, Any]) -> None:
        """Read the document."""
        self.document = document
        self._operations = {
            (method.upper(), re.compile(re.sub(r"{\w+}", "[^/]+", path))): operation
            for path, item in document["paths"].items()
            for method, operation in item.items()
            if method in METHODS
        }

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """The operation that a request asks for; the plainer of two paths comes first."""
        found = [
            (pattern.pattern.count("["), operation)
            for (its_method, pattern), operation in self._operations.items()
            if its_method == method and pattern.fullmatch(path)
        ]
        return min(found, key=lambda each: each[0])[1] if found else None

    async def check(self, answer: httpx.Response) -> None:
        """Fail where the answer to a known operation has a status or a type that is not announced for it."""
        request = answer.request
        operation = self.operation(request.method, request.url.path)
        if operation is None:
            return
        name = f"{operation['operationId']} answers {answer.status_code}"
        announced = operation["responses"].get(str(answer.status_code))
        assert announced is not None, f"{name}, which is not announced"
        media_type = answer.headers.get("content-type", "").partition(";")[0]
        types = {each.partition(";")[0] for each in announced.get("content", {})}
        assert media_type in (types or {""}), f"{name} as {media_type!r}, not as {types}"
