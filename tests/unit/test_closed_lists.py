"""What commands say where Temporal does not let O look at what they have to know, or cannot."""

from types import SimpleNamespace

import pytest
from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsResponse

from o.errors import Conflict, Unavailable
from o.settings.all import Settings
from o.temporal import namespace, open_executions
from o.temporal.namespace import ATTRIBUTES, register
from server.backup.temporal import end_executions
from tests.support.refusing import PERMISSION_DENIED, UNAVAILABLE, refusing_temporal

COUNT, ADD = "CountWorkflowExecutions", "AddSearchAttributes"
LIST, END = "ListWorkflowExecutions", "TerminateWorkflowExecution"


async def test_who_may_not_count_executions_is_told_and_does_not_wait() -> None:
    told: list[str] = []
    asked: list[str] = []
    with refusing_temporal(PERMISSION_DENIED, asked, calls={COUNT}) as address:
        await register(Settings(temporal_address=address), told.append)
    assert asked.count(COUNT) == 2, "once before the attributes are added, and once after"
    assert [line.split()[0] for line in told] == ["done:"] * len(ATTRIBUTES) + ["Temporal"]
    assert "does not let us count executions (PERMISSION_DENIED)" in told[-1]


async def test_who_may_do_neither_learns_of_both() -> None:
    told: list[str] = []
    with (
        refusing_temporal(PERMISSION_DENIED, calls={COUNT, ADD}) as address,
        pytest.raises(Unavailable, match=r"run the commands above.*not let us count executions"),
    ):
        await register(Settings(temporal_address=address), told.append)
    assert len(told) == len(ATTRIBUTES)


async def test_a_list_that_is_away_is_named_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    # On this clock a count takes four seconds, and nothing else any time.
    clock = SimpleNamespace(monotonic=lambda: 4.0 * asked.count(COUNT))
    monkeypatch.setattr(namespace, "time", clock)
    with (
        refusing_temporal(UNAVAILABLE, asked, calls={COUNT}) as address,
        pytest.raises(Unavailable, match=r"cannot count executions .*\(UNAVAILABLE\): see to its"),
    ):
        await register(Settings(temporal_address=address), lambda line: None)
    assert asked.count(COUNT) == 4, "once before, and then until it has been away for ten seconds"


async def test_nothing_is_ended_where_temporal_does_not_tell_whether_workers_poll() -> None:
    with refusing_temporal(PERMISSION_DENIED, calls={"DescribeTaskQueue"}) as address:
        settings = Settings(temporal_address=address)
        with pytest.raises(Conflict, match="does not tell who polls the task queue o: stop all"):
            await end_executions(settings, despite_workers=False)
        assert await end_executions(settings, despite_workers=True) == 0


async def test_a_list_that_keeps_what_was_ended_is_not_asked_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    # On this clock a list takes twenty seconds, and nothing else any time.
    clock = SimpleNamespace(monotonic=lambda: 20.0 * asked.count(LIST))
    monkeypatch.setattr(open_executions, "time", clock)
    listed = ListWorkflowExecutionsResponse()
    listed.executions.add().execution.workflow_id = "conversation-1"
    answers = {LIST: listed.SerializeToString()}
    with refusing_temporal(UNAVAILABLE, asked, calls={ADD}, answers=answers) as address:
        settings = Settings(temporal_address=address)
        assert await end_executions(settings, despite_workers=True) == 1
    assert asked.count(END) == 1
    assert asked.count(LIST) == 4, "the first look, and then for a minute"
