"""Bodies: a value of a wrong type is refused, although it could be read as the right one."""

from typing import Any

from core.permission import Role
from core.tenant import Tenant
from tests.web.client import Api, problem_of

KEY = {"name": "meter", "scopes": ["usage:write"]}

LOOKALIKES: list[tuple[str, str, dict[str, Any], str]] = [
    ("PATCH", "./", {"require_second_factor": 0}, "require_second_factor"),
    ("PATCH", "./", {"require_second_factor": "no"}, "require_second_factor"),
    ("PUT", "./gdpr/retention", {"transactional_days": "90"}, "transactional_days"),
    (
        "POST",
        "./api-keys",
        {"name": "x", "scopes": ["usage:write"], "expires_at": 1_900_000_000},
        "expires_at",
    ),
]


async def test_what_only_looks_like_the_right_type_is_refused(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    for method, path, body, field in LOOKALIKES:
        problem = problem_of(await owner.send(method, path, json=body), 422, "invalid-input")
        assert [error["field"] for error in problem["errors"]] == [field]
