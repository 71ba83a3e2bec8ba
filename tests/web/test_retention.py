"""Retention over HTTP: the policy, its preview, and what readers and machines see of what is hidden."""

from datetime import UTC, datetime, timedelta

import pytest

from core.job import JobKind
from core.permission import Role
from core.retention import RetentionPolicy
from core.tenant import Tenant
from jobs.progress import Progress
from jobs.retention import retain
from tests.events import sent, usage, used
from tests.installation import queued, rows
from tests.web.client import Api, problem_of
from tests.web.test_anomalies import detected

OLD = datetime.now(UTC) - timedelta(days=200)


async def run(api: Api, tenant: Tenant) -> None:
    job = await queued(api.installation, JobKind.RETAIN, tenant)
    await retain(api.installation.context, job, Progress(api.installation.context, job.id))


async def test_a_policy_is_read_replaced_and_audited(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    policy = (await owner.get("./gdpr/retention")).json()
    assert policy["transactional_days"] == RetentionPolicy().transactional_days
    wanted = policy | {"transactional_days": 60, "grace_days": 7}
    assert (await owner.put("./gdpr/retention", json=wanted)).json() == wanted
    assert (await owner.get("./gdpr/retention")).json() == wanted
    query = "SELECT details FROM public.audit_log WHERE chain = $1 AND action = 'retention.policy_set'"
    [entry] = await rows(api.installation, query, tenant.chain)
    assert '"transactional_days":"60"' in str(entry["details"])


@pytest.mark.parametrize("wrong", [{"transactional_days": 5}, {"grace_days": 0}, {"unknown_days": 3}])
async def test_a_policy_out_of_bounds_is_refused(api: Api, tenant: Tenant, wrong: dict[str, int]) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    problem_of(await owner.put("./gdpr/retention", json=wrong), 422, "invalid-input")
    assert (await owner.get("./gdpr/retention")).json()["transactional_days"] == 90


async def test_the_preview_counts_and_hides_nothing(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    await used(api.installation, tenant, [usage("old", at=OLD), usage("new")])
    items = (await owner.get("./gdpr/retention/preview")).json()["items"]
    [due] = [item for item in items if item["target"] == "usage_events"]
    assert (due["hidden_rows"], due["deleted_rows"]) == (1, 0)
    assert len((await owner.get("./usage")).json()["items"]) == 2


async def test_usage_from_before_the_horizon_is_named_event_by_event(api: Api, tenant: Tenant) -> None:
    await used(api.installation, tenant, [usage("old", at=OLD)])
    await run(api, tenant)
    operator = await api.operator()
    batch = [sent("new"), sent("older", occurred_at=OLD.isoformat()), sent("newer")]
    path = f"/tenants/{tenant.id}/usage"
    problem = problem_of(await operator.post(path, json=batch), 422, "invalid-input")
    assert [error["index"] for error in problem["errors"]] == [1]
    lenient = await operator.post(path, json=batch, headers={"Prefer": "handling=lenient"})
    assert (lenient.json()["accepted"], lenient.json()["duplicates"]) == (2, 0)
    [rejected] = lenient.json()["rejected"]
    assert rejected["index"] == 1
    assert "the earliest admitted" in rejected["detail"]


async def test_a_hidden_anomaly_cannot_be_acknowledged(api: Api, tenant: Tenant) -> None:
    [anomaly, *_] = await detected(api, tenant)
    late = f"UPDATE {tenant.schema}.anomalies SET detected_at = detected_at - interval '200 days'"
    await rows(api.installation, late)
    await run(api, tenant)
    owner = await api.as_(Role.OWNER, tenant)
    assert (await owner.get("./anomalies")).json()["items"] == []
    problem_of(await owner.post(f"./anomalies/{anomaly['id']}/acknowledge", json={}), 404, "not-found")
