"""The registers: processing from the classification, breaches and requests with their clocks."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from structlog.testing import capture_logs

from core.classification import CLASSIFICATION
from jobs import reminders
from jobs.reminders import remind_of_cases
from shell.mail import Mail, MailNotSent, send
from shell.settings import Settings
from tests.web.client import Api, problem_of


def ago(**delta: int) -> str:
    """An instant in the past, as clients send it."""
    return (datetime.now(UTC) - timedelta(**delta)).isoformat()


async def test_the_register_of_processing_has_every_table(api: Api) -> None:
    operator = await api.operator()
    register = (await operator.get("/registers/processing")).json()
    listed = [name for entry in register["entries"] for name in entry["tables"]]
    assert sorted(listed) == sorted(map(str, CLASSIFICATION))
    assert all(entry["purpose"] and entry["legal_basis"] and entry["kept"] for entry in register["entries"])


async def test_a_request_is_extended_once_and_answered(api: Api) -> None:
    operator = await api.operator()
    wanted = {"kind": "REQUEST", "summary": "access, ticket 12", "began_at": ago(days=3)}
    headers = {"Idempotency-Key": str(uuid4())}
    case = (await operator.post("/registers/cases", json=wanted, headers=headers)).json()
    again = await operator.post("/registers/cases", json=wanted, headers=headers)
    assert again.json() == case
    path = f"/registers/cases/{case['id']}/steps"
    extended = (await operator.post(path, json={"step": "extend", "reason": "many requests"})).json()
    assert (extended["state"], extended["due_at"] > case["due_at"]) == ("EXTENDED", True)
    problem_of(
        await operator.post(path, json={"step": "extend", "reason": "again"}), 409, "case-step-refused"
    )
    assert (await operator.post(path, json={"step": "answer", "reason": "sent"})).json()[
        "state"
    ] == "ANSWERED"


async def test_a_case_of_the_future_or_of_an_unknown_tenant_is_refused(api: Api) -> None:
    operator = await api.operator()
    wanted = {"kind": "BREACH", "summary": "lost laptop", "began_at": ago(hours=-2)}
    problem_of(await operator.post("/registers/cases", json=wanted), 422, "invalid-input")
    wanted |= {"began_at": ago(hours=1), "tenant_id": str(uuid4())}
    problem_of(await operator.post("/registers/cases", json=wanted), 404, "not-found")


async def test_a_breach_that_is_nearly_due_is_reminded_of_once(api: Api) -> None:
    operator = await api.operator()
    wanted = {"kind": "BREACH", "summary": "lost laptop", "began_at": ago(hours=50)}
    case = (await operator.post("/registers/cases", json=wanted)).json()
    fresh = (await operator.post("/registers/cases", json=wanted | {"began_at": ago(hours=1)})).json()
    with capture_logs() as logs:
        await remind_of_cases(api.installation.context)
        await remind_of_cases(api.installation.context)
    reminded = [entry["case"] for entry in logs if entry["event"] == "register.due"]
    assert reminded.count(case["id"]) == 1
    assert fresh["id"] not in reminded


async def test_one_reminder_that_fails_is_sent_later_and_no_other_is_sent_twice(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = await api.operator()
    wanted = {"kind": "BREACH", "summary": "lost laptop", "began_at": ago(hours=60)}
    first, second = [(await operator.post("/registers/cases", json=wanted)).json()["id"] for _ in range(2)]
    settings = msgspec.structs.replace(
        api.installation.settings, data=tmp_path, data_protection_email="dpo@example.com", smtp_url=None
    )
    context = msgspec.structs.replace(api.installation.context, settings=settings)

    async def refuse_the_first(settings: Settings, mail: Mail) -> None:
        if first in mail.text:
            raise MailNotSent(reason="OSError")
        await send(settings, mail)

    def mailed(case_id: str) -> int:
        return sum(case_id in file.read_text() for file in settings.mail_folder.glob("*.eml"))

    monkeypatch.setattr(reminders, "send", refuse_the_first)
    await remind_of_cases(context)
    assert (mailed(first), mailed(second)) == (0, 1)
    monkeypatch.undo()
    await remind_of_cases(context)
    await remind_of_cases(context)
    assert (mailed(first), mailed(second)) == (1, 1)
