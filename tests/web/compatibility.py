"""What an OpenAPI document may not take from clients that were written for an earlier one.

A client may send what it sent, and finds what it found. Allowed, and so to be borne by clients: new
operations, optional parameters and fields, fields of answers, values of an answered enumeration, errors.
"""

from collections.abc import Iterator
from typing import Any

Node = dict[str, Any]

METHODS = ("get", "post", "put", "patch", "delete")
UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems")


def broken_promises(old: Node, new: Node) -> list[str]:
    """Each promise of the old document that the new one does not keep, with the place."""
    return list(_Comparison(old, new).of_documents())


class _Comparison:
    """Two documents; a schema that refers to itself is compared once."""

    def __init__(self, old: Node, new: Node) -> None:
        self._old, self._new = old, new
        self._compared: set[tuple[str, str, bool]] = set()

    def of_documents(self) -> Iterator[str]:
        for path, item in self._old["paths"].items():
            for method in (each for each in METHODS if each in item):
                operation = self._new["paths"].get(path, {}).get(method)
                if operation is None:
                    yield f"{method.upper()} {path}: is gone"
                else:
                    yield from self._of_operations(item[method], operation)

    def _of_operations(self, old: Node, new: Node) -> Iterator[str]:
        name = old["operationId"]
        if new["operationId"] != name:
            yield f"{name}: is called {new['operationId']}"
        if any(scheme not in new["security"] for scheme in old["security"]) or (
            new["security"] and not old["security"]
        ):
            yield f"{name}: asks for other credentials"
        yield from self._of_parameters(name, old.get("parameters", []), new.get("parameters", []))
        yield from self._of_bodies(name, old.get("requestBody", {}), new.get("requestBody", {}))
        yield from self._of_successes(name, old["responses"], new["responses"])

    def _of_parameters(self, name: str, old: list[Node], new: list[Node]) -> Iterator[str]:
        before = {(each["in"], each["name"]): each for each in old}
        after = {(each["in"], each["name"]): each for each in new}
        for key, parameter in before.items():
            if key not in after:
                yield f"{name}: parameter {key[1]} is gone"
            else:
                place = f"{name}: parameter {key[1]}"
                yield from self._of_schemas(place, parameter["schema"], after[key]["schema"], sent=True)
        for key, parameter in after.items():
            if parameter.get("required") and not before.get(key, {}).get("required"):
                yield f"{name}: parameter {key[1]} is required"

    def _of_bodies(self, name: str, old: Node, new: Node) -> Iterator[str]:
        if new.get("required") and not old.get("required"):
            yield f"{name}: a body is required"
        yield from self._of_contents(
            f"{name}: body", old.get("content", {}), new.get("content", {}), sent=True
        )

    def _of_successes(self, name: str, old: Node, new: Node) -> Iterator[str]:
        for status in (each for each in old if each.startswith("2")):
            place = f"{name}: {status}"
            if status not in new:
                yield f"{place} is gone"
            else:
                contents = old[status].get("content", {}), new[status].get("content", {})
                yield from self._of_contents(place, *contents, sent=False)

    def _of_contents(self, place: str, old: Node, new: Node, *, sent: bool) -> Iterator[str]:
        for media_type, body in old.items():
            if media_type not in new:
                yield f"{place}: {media_type} is gone"
            else:
                yield from self._of_schemas(place, body["schema"], new[media_type]["schema"], sent=sent)

    def _of_schemas(self, place: str, old: Node, new: Node, *, sent: bool) -> Iterator[str]:
        references = old.get("$ref", ""), new.get("$ref", "")
        if any(references):
            if (*references, sent) in self._compared:
                return
            self._compared.add((*references, sent))
        before, after = _forms(self._old, old), _forms(self._new, new)
        wider, narrower = (after, before) if sent else (before, after)
        if lost := sorted(narrower.keys() - wider.keys()):
            yield f"{place}: {'no longer takes' if sent else 'may be'} {', '.join(lost)}"
        for kind in before.keys() & after.keys():
            yield from self._of_forms(place, before[kind], after[kind], sent=sent)

    def _of_forms(self, place: str, old: Node, new: Node, *, sent: bool) -> Iterator[str]:
        yield from _limits(place, old, new) if sent else ()
        before, after = old.get("properties", {}), new.get("properties", {})
        for field in before:
            if field not in after:
                yield f"{place}.{field}: is gone"
            else:
                yield from self._of_schemas(f"{place}.{field}", before[field], after[field], sent=sent)
        required = (new, old) if sent else (old, new)
        for field in sorted(set(required[0].get("required", [])) - set(required[1].get("required", []))):
            yield f"{place}.{field}: {'is required' if sent else 'may be missing'}"
        if "items" in old and "items" in new:
            yield from self._of_schemas(f"{place}[]", old["items"], new["items"], sent=sent)


def _limits(place: str, old: Node, new: Node) -> Iterator[str]:
    """What was taken and is not any more, of one form of a value."""
    for key, is_upper in [*((key, True) for key in UPPER), *((key, False) for key in LOWER)]:
        if key in new and (key not in old or (new[key] < old[key] if is_upper else new[key] > old[key])):
            yield f"{place}: {key} is {new[key]}"
    if new.get("pattern") not in {None, old.get("pattern")}:
        yield f"{place}: has another pattern"
    before, after = old.get("enum"), new.get("enum")
    if before and after and (lost := [str(each) for each in before if each not in after]):
        yield f"{place}: no longer takes {', '.join(lost)}"
    if after and not before:
        yield f"{place}: takes some values only"


def _forms(document: Node, schema: Node) -> dict[str, Node]:
    """The forms that a value may have, each by a named object's name, else by its type."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        found = document["components"]["schemas"][name]
        return {name if found.get("type") == "object" else str(found.get("type")): found}
    alternatives = schema.get("oneOf", schema.get("anyOf"))
    if alternatives is not None:
        return {kind: form for each in alternatives for kind, form in _forms(document, each).items()}
    types = schema.get("type", "any")
    return dict.fromkeys([types] if isinstance(types, str) else types, schema)
