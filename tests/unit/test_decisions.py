"""What an approval request makes of answers that come in pieces, again, or not alike."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.domain.approvals import Approval, ApprovalStatus, decided_with, find_answered
from o.domain.messages import Decision
from o.errors import Conflict, InvalidArgument

REQUEST = Approval(
    id="message-1",
    organization_id="org-1",
    agent_id="agent-1",
    conversation_id="conv-1",
    run_id="run-1",
    step_id="step-1",
    step_index=0,
    calls=["a", "b", "c"],
    digest="",
    created_at=datetime.now(UTC),
)


def said(call: str, *, approve: bool = True) -> Decision:
    return Decision(tool_call_id=call, approve=approve)


def after(*decisions: Decision) -> Approval:
    return REQUEST.model_copy(update={"decisions": decided_with(REQUEST, decisions)})


@given(st.permutations(["a", "b", "c"]), st.lists(st.booleans(), min_size=3, max_size=3))
def test_the_order_of_the_answers_does_not_matter(order: list[str], words: list[bool]) -> None:
    approve = dict(zip("abc", words, strict=True))
    request = REQUEST
    for call in order:
        decided = decided_with(request, [said(call, approve=approve[call])])
        request = request.model_copy(update={"decisions": decided})
    assert [(d.tool_call_id, d.approve) for d in request.decisions] == list(approve.items())
    assert request.undecided == []


WHOLE = said("message-1")


def test_an_answer_to_the_whole_is_one_to_the_calls_that_nothing_was_said_to() -> None:
    decided = decided_with(after(said("b", approve=False)), [WHOLE])
    assert [decision.approve for decision in decided] == [True, False, True]


def test_the_same_again_changes_nothing() -> None:
    request = after(said("b", approve=False), WHOLE)
    assert decided_with(request, [WHOLE]) == request.decisions
    assert decided_with(request, [said("b", approve=False)]) == request.decisions


@pytest.mark.parametrize("again", [said("a", approve=False), said("message-1", approve=False)])
def test_another_answer_than_the_one_given_is_a_conflict(again: Decision) -> None:
    with pytest.raises(Conflict):
        decided_with(after(WHOLE), [again])


def test_two_answers_to_one_call_in_one_message_are_a_conflict() -> None:
    with pytest.raises(Conflict):
        decided_with(REQUEST, [said("a"), said("a", approve=False)])


def test_a_call_that_does_not_wait_is_refused_with_what_does() -> None:
    for other in ("x", ""):
        with pytest.raises(InvalidArgument, match=r"Expected '\['a', 'b', 'c'\]'"):
            decided_with(REQUEST, [said("a"), said(other)])


def test_what_is_said_to_one_call_goes_before_what_is_said_to_all_in_either_order() -> None:
    both = [WHOLE, said("b", approve=False)]
    for given_ in (both, both[::-1]):
        decided = decided_with(REQUEST, given_)
        assert [one.approve for one in decided] == [True, False, True]


# Older releases stored calls under the ids that models gave them, which may repeat.
PENDING = REQUEST.model_copy(update={"id": "message-2", "calls": ["a"]})
BEFORE = REQUEST.model_copy(
    update={"status": ApprovalStatus.DECIDED, "calls": ["a"], "decisions": [said("a")]}
)


@pytest.mark.parametrize("status", [s for s in ApprovalStatus if s is not ApprovalStatus.PENDING])
def test_an_answer_that_fits_two_requests_is_refused_until_it_names_one(
    status: ApprovalStatus,
) -> None:
    before = BEFORE.model_copy(update={"status": status})
    with pytest.raises(Conflict, match=r"approval_request_id.*message-2, message-1"):
        find_answered([PENDING, before], [said("a")])
    named = said("a").model_copy(update={"request_id": PENDING.id})
    assert find_answered([PENDING, before], [named]) == PENDING
    assert decided_with(PENDING, [named]) == [said("a")]
    assert find_answered([PENDING, before], [said(PENDING.id)]) == PENDING


def test_an_answer_to_a_request_before_is_not_one_to_the_request_that_waits() -> None:
    other = PENDING.model_copy(update={"calls": ["d"]})
    assert find_answered([other, BEFORE], [said("a")]) == BEFORE
    with pytest.raises(InvalidArgument, match=r"Invalid approval request ID. Expected 'message-2'"):
        decided_with(other, [said("d").model_copy(update={"request_id": "message-1"})])


def test_an_id_that_two_calls_of_a_request_have_is_refused_and_the_whole_is_answered() -> None:
    request = REQUEST.model_copy(update={"calls": ["a", "a"]})
    with pytest.raises(Conflict, match="by the id of the request"):
        decided_with(request, [said("a")])
    assert [one.approve for one in decided_with(request, [WHOLE])] == [True, True]
