"""Python client of the EU Platform.

`eu_platform_client.generated` has a function for each operation and a class for each schema, made from the
OpenAPI document. This package adds what a document cannot say: signing in, sending again, cursors, and
usage that is not lost.
"""

from eu_platform_client.metering import BufferFull, EventsRejected, Meter, MeterClosed, NotDelivered
from eu_platform_client.pages import items
from eu_platform_client.platform import Platform
from eu_platform_client.problem import ApiProblem, ok
from eu_platform_client.retry import Backoff
from eu_platform_client.sign_in import SessionEnded

__all__ = [
    "ApiProblem",
    "Backoff",
    "BufferFull",
    "EventsRejected",
    "Meter",
    "MeterClosed",
    "NotDelivered",
    "Platform",
    "SessionEnded",
    "items",
    "ok",
]
