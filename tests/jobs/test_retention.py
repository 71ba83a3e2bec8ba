"""Retention on real rows: hidden first, deleted after the grace, and never counted twice."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from core.audit import Actor, ActorKind, AuditEntry
from core.deletion_ledger import erased_person
from core.errors import BeforeHorizon
from core.job import JobKind
from core.membership import UserState
from core.permission import Role
from core.portability import Format
from core.retention import AgedTable, RetentionPolicy
from core.tenant import Tenant
from jobs.closing import close
from jobs.progress import Progress
from jobs.retention import find_retention, retain
from shell import deletion_ledger, legal_holds, retention, tenants, usage, users
from shell.audit import append_entry
from shell.sequencing import sequence_pending
from shell.session import platform_session, tenant_session
from shell.users import Changer, UserChange
from tests import gdpr_command
from tests.events import store
from tests.events import usage as event
from tests.installation import Installation, add_account, administrator, found, queued, rows
from tests.packages import files_in, packaged, rows_of
from tests.waiting import until

NOW = datetime.now(UTC)
OLD, RECENT = NOW - timedelta(days=200), NOW - timedelta(days=10)


async def run(installation: Installation, tenant: Tenant) -> None:
    """One run of the job, as the worker runs it."""
    job = await queued(installation, JobKind.RETAIN, tenant)
    await retain(installation.context, job, Progress(installation.context, job.id))


async def age_marks(installation: Installation, tenant: Tenant, days: int) -> None:
    """Let the grace period pass."""
    statement = (
        f"UPDATE {tenant.schema}.retention_marks SET marked_at = marked_at - make_interval(days => $1)"
    )
    await rows(installation, statement, days)


async def events_of(installation: Installation, tenant: Tenant) -> tuple[int, int]:
    """How many events readers see, and how many rows there are."""
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        seen = await usage.page(
            session, resource=None, source=None, start=None, end=None, after=None, limit=100
        )
        return len(seen), int(await session.connection.fetchval("SELECT count(*) FROM usage_events"))


async def aggregated(installation: Installation, tenant: Tenant) -> list[object]:
    """What each day amounts to."""
    query = f"SELECT day, quantity FROM {tenant.schema}.daily_usage ORDER BY day"
    return [tuple(row.values()) for row in await rows(installation, query)]


async def stored(installation: Installation, tenant: Tenant) -> None:
    """An old event and a recent one, aggregated."""
    await store(installation, tenant, event("old", at=OLD), event("new", at=RECENT))
    await close(installation.context, tenant.id)


async def test_old_usage_is_hidden_then_deleted_and_its_days_stay(
    installation: Installation, tenant: Tenant
) -> None:
    await stored(installation, tenant)
    days = await aggregated(installation, tenant)
    await run(installation, tenant)
    assert await events_of(installation, tenant) == (1, 2)
    await age_marks(installation, tenant, 31)
    await run(installation, tenant)
    await run(installation, tenant)
    assert await events_of(installation, tenant) == (1, 1)
    assert await aggregated(installation, tenant) == days
    query = "SELECT details FROM public.audit_log WHERE chain = $1 AND action = 'retention.run'"
    entries = [str(row["details"]) for row in await rows(installation, query, tenant.chain)]
    assert len(entries) == 3
    assert sum('"usage_events_deleted":"1"' in entry for entry in entries) == 1


async def test_a_deleted_event_that_is_sent_again_is_refused_and_zeroes_no_day(
    installation: Installation, tenant: Tenant
) -> None:
    await stored(installation, tenant)
    days = await aggregated(installation, tenant)
    await run(installation, tenant)
    await age_marks(installation, tenant, 31)
    await run(installation, tenant)
    for name in ("old", "late"):
        with pytest.raises(BeforeHorizon):
            await store(installation, tenant, event(name, at=OLD))
    await close(installation.context, tenant.id)
    assert await aggregated(installation, tenant) == days


async def test_a_key_whose_event_was_deleted_never_counts_again(
    installation: Installation, tenant: Tenant
) -> None:
    await store(installation, tenant, event("old/é", at=OLD), event("new", at=RECENT))
    await close(installation.context, tenant.id)
    await run(installation, tenant)
    await age_marks(installation, tenant, 31)
    await run(installation, tenant)
    assert await events_of(installation, tenant) == (1, 1)
    assert await store(installation, tenant, event("old/é"), event("newer")) == 1
    assert await store(installation, tenant, event("old/é", source="vm-2")) == 1


async def test_what_was_back_filled_is_aggregated_before_it_is_hidden(
    installation: Installation, tenant: Tenant
) -> None:
    await store(installation, tenant, event("old", at=OLD))
    await run(installation, tenant)
    assert await events_of(installation, tenant) == (1, 1)
    await close(installation.context, tenant.id)
    await run(installation, tenant)
    assert await events_of(installation, tenant) == (0, 1)


async def test_a_hold_keeps_hidden_rows_until_it_is_lifted(
    installation: Installation, tenant: Tenant
) -> None:
    await stored(installation, tenant)
    await run(installation, tenant)
    await age_marks(installation, tenant, 31)
    async with platform_session(installation.pool) as session:
        await tenants.lock(session, tenant.id)
        hold = await legal_holds.place(session, tenant.id, user_id=None, reason="case", by=tenant.id)
    await run(installation, tenant)
    assert await events_of(installation, tenant) == (1, 2)
    assert await retention.delete_batch(installation.pool, tenant.id, AgedTable.USAGE_EVENTS, NOW) == 0
    async with platform_session(installation.pool) as session:
        await legal_holds.lift(session, tenant.id, hold.id, reason="over", by=tenant.id)
    await run(installation, tenant)
    assert await events_of(installation, tenant) == (1, 1)


async def test_a_dry_run_says_what_would_go_and_changes_nothing(
    installation: Installation, tenant: Tenant
) -> None:
    await stored(installation, tenant)
    due = {each.target: each for each in await retention.preview(installation.pool, tenant.id, NOW)}
    assert (due[AgedTable.USAGE_EVENTS].hidden_rows, due[AgedTable.USAGE_EVENTS].deleted_rows) == (1, 0)
    assert due[AgedTable.SESSIONS].hidden_rows == 0
    assert await events_of(installation, tenant) == (2, 2)
    await run(installation, tenant)
    later = NOW + timedelta(days=31)
    [usage_due, *_] = await retention.preview(installation.pool, tenant.id, later)
    assert usage_due.deleted_rows == 1


async def test_batches_are_small_and_go_on_until_nothing_is_left(
    installation: Installation, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    await store(installation, tenant, *(event(f"old-{number}", at=OLD) for number in range(5)))
    await close(installation.context, tenant.id)
    await run(installation, tenant)
    await age_marks(installation, tenant, 31)
    assert await retention.delete_batch(installation.pool, tenant.id, AgedTable.USAGE_EVENTS, RECENT) == 2
    await run(installation, tenant)
    assert await events_of(installation, tenant) == (0, 0)


async def test_old_audit_entries_lose_their_details_but_not_those_of_held_people(
    own_installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    tenant, held, other = await found(own_installation), uuid4(), uuid4()
    for person in (held, other, other, other, other, other):
        async with tenant_session(own_installation.pool, tenant_id=tenant.id) as session:
            actor = Actor(ActorKind.USER, person, address="192.0.2.1")
            await append_entry(session, AuditEntry("thing.done", "thing", actor, details={"a": "b"}))
    await sequence_pending(own_installation.owner_pool)
    async with platform_session(own_installation.pool) as platform:
        await tenants.lock(platform, tenant.id)
        await legal_holds.place(platform, tenant.id, user_id=held, reason="case", by=held)

    async def left() -> set[object]:
        query = (
            "SELECT actor_id FROM public.audit_log WHERE action = 'thing.done'"
            " AND details IS NOT NULL AND address IS NOT NULL AND salt IS NOT NULL"
        )
        return {row["actor_id"] for row in await rows(own_installation, query)}

    async def erased(now: datetime) -> int | None:
        due = await retention.preview_audit_details(own_installation.pool, tenant.id, now)
        done = await retention.erase_audit_details(
            own_installation.pool, own_installation.owner_pool, tenant.id, now
        )
        assert due == (done or 0), "a preview tells what a run does"
        return done

    later = datetime.now(UTC) + timedelta(days=300)
    assert await erased(later) is None, "without a limit they stay"
    for days, stay in ((271, {held, other}), (269, {held})):
        policy = RetentionPolicy(audit_details_days=days, grace_days=30)
        async with platform_session(own_installation.pool) as platform:
            await retention.set_policy(platform, tenant.id, policy)
        assert (await erased(later) or 0) >= (0 if other in stay else 5)
        assert await left() == stay
    assert await erased(later) == 0, "a second run finds nothing"
    await run(own_installation, tenant)
    query = "SELECT details FROM public.audit_log WHERE action = 'retention.run'"
    [told] = await rows(own_installation, query)
    assert '"audit_details_erased":"0"' in str(told["details"])


async def test_a_hold_waits_for_the_batch_of_audit_details_under_way_and_stops_the_next(
    own_installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    tenant, person = await found(own_installation), uuid4()
    async with tenant_session(own_installation.pool, tenant_id=tenant.id) as session:
        for _ in range(40):
            await append_entry(session, AuditEntry("thing.done", "thing", Actor(ActorKind.USER, person)))
    await sequence_pending(own_installation.owner_pool)
    async with platform_session(own_installation.pool) as platform:
        await retention.set_policy(platform, tenant.id, RetentionPolicy(audit_details_days=180))

    async def place_hold() -> None:
        async with platform_session(own_installation.pool) as platform:
            await tenants.lock(platform, tenant.id)
            await legal_holds.place(platform, tenant.id, user_id=None, reason="case", by=person)

    async with (
        administrator(own_installation.admin_url) as admin,
        administrator(own_installation.admin_url) as look,
    ):

        async def waiting(count: int) -> bool:
            query = (
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return int(await look.fetchval(query)) == count

        async with admin.transaction():
            await admin.execute("SELECT FROM public.audit_log WHERE chain = $1 FOR UPDATE", tenant.chain)
            later = datetime.now(UTC) + timedelta(days=300)
            erasing = asyncio.create_task(
                retention.erase_audit_details(
                    own_installation.pool, own_installation.owner_pool, tenant.id, later
                )
            )
            await until(partial(waiting, 1))
            placing = asyncio.create_task(place_hold())
            await until(partial(waiting, 2))
        await placing
        query = "SELECT count(*) FROM public.audit_log WHERE chain = $1 AND details IS NULL"
        erased_before = await look.fetchval(query, tenant.chain)
        await erasing
        assert await look.fetchval(query, tenant.chain) == erased_before, "nothing is erased under the hold"
    assert erased_before >= 2


async def test_what_is_hidden_is_still_in_packages(
    installation: Installation, tenant: Tenant, tmp_path: Path
) -> None:
    await stored(installation, tenant)
    await run(installation, tenant)
    assert await events_of(installation, tenant) == (1, 2)
    files = files_in(await packaged(installation, tenant, Format.JSON, tmp_path / "package.tar.gz"))
    events = rows_of(files["data/usage_events.jsonl"], Format.JSON)
    assert {row["id"] for row in events} == {"old", "new"}


async def test_who_is_deactivated_for_long_is_erased_but_not_who_is_held_or_active_again(
    installation: Installation, tenant: Tenant
) -> None:
    people = {
        name: (await add_account(installation, tenant, Role.MEMBER)).id
        for name in ("gone", "held", "back", "new", "old_code")
    }
    chief = Changer((await add_account(installation, tenant, Role.OWNER)).id, Role.OWNER)
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        for person in people.values():
            await users.change(session, person, UserChange(state=UserState.DEACTIVATED), by=chief)
        statement = "UPDATE users SET deactivated_at = $2 WHERE id = ANY ($1)"
        await session.connection.execute(statement, list(people.values()), NOW - timedelta(days=200))
        await session.connection.execute(statement, [people["new"]], NOW - timedelta(days=100))
        await session.connection.execute(statement, [people["old_code"]], None)
        await users.change(session, people["back"], UserChange(state=UserState.ACTIVE), by=chief)
        await users.change(session, people["back"], UserChange(state=UserState.DEACTIVATED), by=chief)
    async with platform_session(installation.pool) as platform:
        await tenants.lock(platform, tenant.id)
        await legal_holds.place(platform, tenant.id, user_id=people["held"], reason="case", by=chief.id)

    async def left() -> set[str]:
        found = {row["id"] for row in await rows(installation, f"SELECT id FROM {tenant.schema}.users")}
        return {name for name, person in people.items() if person in found}

    await run(installation, tenant)
    assert await left() == set(people), "without a limit they stay"
    for days, stay in ((180, set(people)), (150, set(people) - {"gone"})):
        async with platform_session(installation.pool) as platform:
            policy = RetentionPolicy(deactivated_people_days=days, grace_days=30)
            await retention.set_policy(platform, tenant.id, policy)
        due = await retention.deactivated_people(installation.pool, tenant.id, NOW)
        await run(installation, tenant)
        assert due is not None
        assert {name for name, person in people.items() if person in due.ids} == set(people) - stay
        assert await left() == stay
    query = "SELECT args FROM public.jobs WHERE kind = 'erase_person' AND tenant_id = $1"
    [job] = await rows(installation, query, tenant.id)
    assert str(people["gone"]) in str(job["args"]), "details of audit entries follow"
    async with platform_session(installation.pool) as platform:
        assert await deletion_ledger.knows(platform, erased_person(tenant.id, people["gone"]))
        assert not await deletion_ledger.knows(platform, erased_person(tenant.id, people["held"]))


async def test_the_command_shows_what_would_go_and_else_queues_the_run_that_does_it(
    own_installation: Installation,
) -> None:
    tenant = await found(own_installation)
    await stored(own_installation, tenant)
    shown = await gdpr_command.run(own_installation, "retention", "--tenant", tenant.slug, "--dry-run")
    assert [line.split() for line in shown.stdout.splitlines()] == [
        [str(tenant.id), target, "hide", "1" if target is AgedTable.USAGE_EVENTS else "0", "delete", "0"]
        for target in AgedTable
    ] + [
        [str(tenant.id), more, "hide", "0", "delete", "0"] for more in ("audit_details", "deactivated_people")
    ]
    query = "SELECT tenant_id FROM public.jobs WHERE kind = 'retain'"
    assert await rows(own_installation, query) == []
    assert await events_of(own_installation, tenant) == (2, 2)
    asked = await gdpr_command.run(own_installation, "retention", "--tenant", tenant.slug)
    assert asked.stdout == "1 runs queued\n"
    unknown = await gdpr_command.run(own_installation, "retention", "--tenant", "nobody")
    assert (unknown.exit_code, "no such open tenant" in unknown.output) == (1, True)
    assert [row["tenant_id"] for row in await rows(own_installation, query)] == [tenant.id]


@pytest.mark.parametrize("target", list(AgedTable))
async def test_every_target_can_be_counted_and_deleted_from(
    installation: Installation, tenant: Tenant, target: AgedTable
) -> None:
    assert await retention.delete_batch(installation.pool, tenant.id, target, NOW) == 0
    due = {each.target for each in await retention.preview(installation.pool, tenant.id, NOW)}
    assert target in due


async def test_a_tenant_has_one_run_a_day(own_installation: Installation) -> None:
    tenant = await found(own_installation)
    await find_retention(own_installation.context)
    await find_retention(own_installation.context)
    query = "SELECT tenant_id FROM public.jobs WHERE kind = 'retain'"
    assert [row["tenant_id"] for row in await rows(own_installation, query)] == [tenant.id]


async def test_a_policy_is_kept(installation: Installation, tenant: Tenant) -> None:
    policy = RetentionPolicy(transactional_days=40, grace_days=7)
    async with platform_session(installation.pool) as session:
        assert await retention.policy_of(session, tenant.id) == RetentionPolicy()
        await retention.set_policy(session, tenant.id, policy)
        assert await retention.policy_of(session, tenant.id) == policy
    assert msgspec.structs.asdict(policy)["files_days"] == 365
