"""Whatever stands in history, a strict provider of each kind answers the next message."""

import pytest
from hypothesis import HealthCheck, given, seed, settings

from o.domain.llm import ModelRequest
from o.domain.messages import GivenId, Message
from o.llm.models import Models
from o.memory.context import Prompt
from tests.llm.conformance.bench import KINDS, TIMEOUT_S, TOOLS, Source, provider_at
from tests.llm.fakes.server import serving
from tests.llm.requests.histories import AGENT, MODEL, histories

_HISTORIES = 12


def some_histories() -> list[list[Message]]:
    """The same ones each time: each costs a request to each wire."""
    found: list[list[Message]] = []

    @seed(7)
    @settings(max_examples=_HISTORIES, database=None, suppress_health_check=list(HealthCheck))
    @given(histories())
    def gather(history: list[Message]) -> None:
        found.append(history)

    gather()
    return found


def given_by(handle: str, message: Message) -> Message:
    """The message as if the model that is asked had made the calls of our model."""
    calls = [
        call.model_copy(update={"given": GivenId(id=call.given.id, model=handle)})
        if call.given and call.given.model == MODEL
        else call
        for call in message.tool_calls
    ]
    return message.model_copy(update={"tool_calls": calls})


@pytest.mark.parametrize("name", KINDS)
async def test_the_next_message_is_answered_whatever_came_before(name: str) -> None:
    fake = KINDS[name].fake()
    with serving(fake) as url:
        models = Models(Source([provider_at(name, url)]), timeout_s=TIMEOUT_S)
        for history in some_histories():
            handle = f"{name}/{fake.model}"
            prompt = Prompt()
            for message in history:
                prompt.add(AGENT, given_by(handle, message))
            said = [{"role": "system", "content": "Be kind."}, *prompt.chat(None, handle)]
            request = ModelRequest(
                handle=handle,
                prompt=[*said, {"role": "user", "content": "hello"}],
                tools=TOOLS,
                settings={"max_output_tokens": 99},
                context_window=32_000,
            )
            reply = await models.complete(request)
            assert reply.text or reply.tool_calls
        await models.close()
