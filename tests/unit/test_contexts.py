"""The prompts that a worker keeps: always what a whole read of history would give."""

from hypothesis import given
from hypothesis import strategies as st

from activities.step.prompt_cache import Contexts
from o.domain.messages import Message
from o.domain.runs import Run
from o.storage.turn.opening import Mark, OpenStep
from tests.support.prompts import chat_prompt
from tests.unit.test_context import AGENT, CONVERSATION, MODELS, NOW, histories

RUN = Run(
    id="run-1",
    organization_id="org-1",
    agent_id="agent-1",
    conversation_id=CONVERSATION.id,
    request_key="k",
    body_hash="h",
    input=[],
    created_at=NOW,
)


def opened(
    messages: list[Message], mark: Mark, *, epoch: int = 0, conversation_id: str = "conv-1"
) -> OpenStep:
    """What the database answers to somebody with this mark."""
    named = {(message.position, message.id) for message in messages}
    is_good = mark.epoch == epoch and (mark.position, mark.message_id) in named
    known = mark.position if is_good else 0
    return OpenStep(
        run=RUN,
        agent=AGENT,
        conversation=CONVERSATION.model_copy(update={"epoch": epoch, "id": conversation_id}),
        blocks=[],
        first=None,
        is_continued=is_good,
        messages=[message for message in messages if message.position > known],
        attempt=1,
    )


def placed(history: list[Message]) -> list[Message]:
    return [
        m.model_copy(update={"position": n + 1, "id": f"message-{n}"})
        for n, m in enumerate(history)
    ]


@given(
    histories,
    st.lists(st.tuples(st.integers(0, 10), st.sampled_from(["c/x", *MODELS])), max_size=4),
)
def test_a_kept_prompt_grows_into_the_one_that_a_whole_read_gives(
    history: list[Message], cuts: list[tuple[int, str]]
) -> None:
    messages, contexts = placed(history), Contexts()
    given_out = []
    for cut, model in [*sorted(cuts), (len(messages), "a/x")]:
        context = contexts.take(CONVERSATION.id)
        prompt = contexts.prompt(context, opened(messages[:cut], context.mark), None, model)
        given_out.append((prompt, chat_prompt(AGENT, messages[:cut], model)))
    for prompt, whole in given_out:  # what was given out stays as it was
        assert prompt == whole


@given(histories, histories)
def test_history_that_was_changed_is_read_anew(before: list[Message], after: list[Message]) -> None:
    contexts = Contexts()
    for epoch, history in enumerate((placed(before), placed(after))):
        context = contexts.take(CONVERSATION.id)
        prompt = contexts.prompt(context, opened(history, context.mark, epoch=epoch), None, "")
        assert prompt == chat_prompt(AGENT, history)


@given(histories, histories)
def test_what_the_database_has_lost_is_forgotten(lost: list[Message], now: list[Message]) -> None:
    contexts = Contexts()
    kept = [m.model_copy(update={"id": f"{m.id}-lost"}) for m in placed(lost)]
    for history in (kept, placed(now)):  # the same places, with other messages in them
        context = contexts.take(CONVERSATION.id)
        prompt = contexts.prompt(context, opened(history, context.mark), None, "")
        assert prompt == chat_prompt(AGENT, history)


def test_what_was_used_longest_ago_goes_when_there_is_too_much() -> None:
    text = placed([Message.model_validate(message_of("x" * 1_000))])
    contexts = Contexts(limit_chars=4_000)
    for name in ("a", "b", "a", "c"):
        context = contexts.take(name)
        contexts.prompt(context, opened(text, context.mark, conversation_id=name), None, "")
    assert [contexts.take(name).mark.position for name in ("a", "b", "c")] == [1, 0, 1]


def test_two_steps_never_share_a_prompt() -> None:
    contexts = Contexts()
    context = contexts.take("a")
    (message,) = placed([Message.model_validate(message_of("x"))])
    contexts.prompt(context, opened([message], context.mark, conversation_id="a"), None, "")
    assert contexts.take("a").mark == Mark(0, 1, message.id)
    assert contexts.take("a").mark == Mark()


def test_a_prompt_that_takes_the_place_of_another_is_counted_alone() -> None:
    text = placed([Message.model_validate(message_of("x" * 1_000))])
    contexts = Contexts(limit_chars=4_000)
    for _ in range(10):  # a step that lost its run comes to its end beside the next one
        both = contexts.take("a"), contexts.take("a")
        for context in both:
            contexts.prompt(context, opened(text, context.mark, conversation_id="a"), None, "")
    context = contexts.take("b")
    contexts.prompt(context, opened(text, context.mark, conversation_id="b"), None, "")
    assert [contexts.take(name).mark.position for name in ("a", "b")] == [1, 1]


def message_of(text: str) -> dict[str, object]:
    return {
        "id": "message-1",
        "organization_id": "org-1",
        "agent_id": "agent-1",
        "conversation_id": "conv-1",
        "position": 0,
        "created_at": NOW,
        "role": "user",
        "parts": [{"type": "text", "text": text}],
    }
