"""Logs: one JSON object a line on standard output, without secrets or e-mail addresses."""

import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import msgspec
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

SECRET_KEYS = frozenset(
    {"password", "token", "access_token", "refresh_token", "authorization", "secret", "email"}
)
EMAIL = re.compile(r"[^\s@\"'<>=:,;()]+@[^\s@\"'<>=:,;()]+\.[^\s@\"'<>=:,;()]+")
CREDENTIALS = re.compile(r"(\w+://)[^/\s@]*@")
ROW = re.compile(r"\nDETAIL:.*", re.DOTALL)
"""What PostgreSQL adds to an error: the row that it refused, with password hashes and names in it."""

FLAT = frozenset({str, int, float, bool, type(None)})
"""What stands in a line as it is: it holds no keys, and is not shown by its `repr`."""


def configure_logs(*, service: str, level: str) -> None:
    """Send structlog and the standard library's loggers through the same JSON lines."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = [
        # Without local variables: they hold requests, with passwords and tokens in them.
        structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
        rendered,
    ]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(
        handlers=[handler], level=max(logging.getLevelName(level), logging.WARNING), force=True
    )
    structlog.contextvars.bind_contextvars(service=service)


def rendered(_: object, __: str, event: MutableMapping[str, Any]) -> str:
    """The line, without what must not be logged: values are blanked by their key, addresses by their form.

    In most lines there is nothing to blank. That is seen faster in the whole line than in each of its values.
    """
    if SECRET_KEYS.isdisjoint(map(str.lower, event)) and FLAT.issuperset(map(type, event.values())):
        line = _as_json(event)
        if _is_clean_text(line):
            return line
    return _as_json(_cleaned_items(event))


def _cleaned_items(items: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        _cleaned_text(str(key)): "***" if str(key).lower() in SECRET_KEYS else _cleaned(value)
        for key, value in items.items()
    }


def _cleaned(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return _cleaned_items(value)
    if isinstance(value, (list, tuple)):
        return [_cleaned(item) for item in value]
    return _cleaned_text(value if isinstance(value, str) else repr(value))  # as JSON would show it


def _cleaned_text(text: str) -> str:
    if _is_clean_text(text):
        return text
    return EMAIL.sub("***", CREDENTIALS.sub(r"\1***@", ROW.sub("", text)))


def _is_clean_text(text: str) -> bool:
    """Whether no pattern can match."""
    return "@" not in text and "DETAIL" not in text


def _as_json(event: Mapping[str, Any]) -> str:
    try:
        return msgspec.json.encode(event).decode()
    except UnicodeEncodeError:  # half of a surrogate pair, which UTF-8 has no form for
        return json.dumps(event)
