"""What a client does while something dies, and what must be true when all is over."""

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from letta_client import APIError
from letta_client.types import AgentState, BlockResponse

from tests.chaos.killing import (
    LINES,
    ROLES,
    STEPS,
    TURN,
    Background,
    KillableProduct,
    Sending,
    assert_notes,
    assert_runs_ended_once,
    assert_turn_happened_once,
    new_agent,
    patient_client,
    roles_of,
)
from tests.support.product import eventually
from tests.support.provider import HANDLE, MODEL, OTHER_HANDLE, call, do, say
from tests.support.windows import summing


class Scenario:
    """A turn of five steps, answered as JSON.

    Attributes:
        text: What the client says.
        requests: How often the provider is asked when nobody dies.
        roles: The history that it leaves.
        prompt: What of it the model is shown; None for all.
    """

    text = TURN
    requests = STEPS
    roles: tuple[str, ...] = ROLES
    prompt: tuple[str, ...] | None = None

    def __init__(self, product: KillableProduct) -> None:
        self.product = product
        self.agent = new_agent(product)

    def begin(self) -> None:
        """Do what leads to the point."""
        self._sending = Sending(self.product, self.agent)

    def check(self, killed: str) -> None:
        """Wait until it is over, and assert that the death cost nothing."""
        assert_turn_happened_once(self.product, self.agent, self._sending.reply())

    def end(self) -> None:
        """Let go of what it held."""


class TwoTools(Scenario):
    """One step that asks for two tools."""

    _lines = ("first", "second")
    text = do(
        {
            "calls": [
                *call("memory_insert", label="notes", new_string=_lines[0])["calls"],
                *call("memory_insert", label="notes", new_string=_lines[1])["calls"],
            ]
        },
        say("both"),
    )
    requests = 2
    roles = ("system", "user", "assistant", "tool", "tool", "assistant")

    def begin(self) -> None:
        self._sending = Sending(self.product, self.agent, self.text)

    def check(self, killed: str) -> None:
        assert self._sending.reply().messages[-1].content == "both"
        assert_runs_ended_once(self.product, self.agent, [("completed", "end_turn")])
        assert_notes(self.product, self.agent, list(self._lines))


class CustomTool(Scenario):
    """A step that calls a tool of the user's own, which works outside of transactions."""

    text = do(call("greet"), say("greeted"))
    requests = 2
    roles = ("system", "user", "assistant", "tool", "assistant")

    def begin(self) -> None:
        client = patient_client(self.product)
        source = 'def greet() -> str:\n    """Greet."""\n    return "hello"\n'
        tool = client.tools.upsert(source_code=source)
        client.agents.tools.attach(str(tool.id), agent_id=self.agent.id)
        self._sending = Sending(self.product, self.agent, self.text)

    def check(self, killed: str) -> None:
        """It ran once, or the model was told that it may have run."""
        reply = self._sending.reply()
        assert reply.messages[-1].content == "greeted"
        assert_runs_ended_once(self.product, self.agent, [("completed", "end_turn")])
        (returned,) = [m for m in reply.messages if m.message_type == "tool_return_message"]
        assert returned.tool_return == "hello" or "may have run" in returned.tool_return


class TokenStream(Scenario):
    """A reply that comes token by token."""

    words = " ".join(f"word{n}" for n in range(30))
    text = do(say(words) | {"pause_s": 0.02})
    requests = 1
    roles = ("system", "user", "assistant")

    def begin(self) -> None:
        self._pieces: dict[str, str] = {}
        self._streaming = Background(self._stream)

    def check(self, killed: str) -> None:
        """Whoever saw the end saw the whole; nobody saw two halves joined."""
        is_whole = self._streaming.result()
        assert is_whole or killed in ("api", "supervisor")
        assert all(self.words.startswith(piece) for piece in self._pieces.values())
        eventually(self._is_answered, what="the end of the run")
        assert_runs_ended_once(self.product, self.agent, [("completed", "end_turn")])
        stored = patient_client(self.product).agents.messages.list(self.agent.id).items[-1]
        assert stored.content == self.words
        assert not is_whole or self._pieces[stored.id] == self.words

    def _is_answered(self) -> bool:
        return roles_of(self.product, self.agent) == self.roles

    def _stream(self) -> bool:
        """Whether the stream came to its end."""
        with contextlib.suppress(httpx.TransportError, APIError):
            stream = patient_client(self.product).agents.messages.create(
                self.agent.id, input=self.text, streaming=True, stream_tokens=True
            )
            for event in stream:
                if event.message_type == "assistant_message":
                    self._pieces.setdefault(event.id, "")
                    self._pieces[event.id] += str(event.content)
                if event.message_type == "stop_reason":
                    return True
        return False


class MaxSteps(Scenario):
    """A turn that is ended for its length."""

    text = do(*(call("memory_insert", label="notes", new_string=line) for line in LINES[:3]))
    requests = 2
    roles = ("system", "user", *("assistant", "tool") * 2)

    def begin(self) -> None:
        self._sending = Sending(self.product, self.agent, self.text, max_steps=2)

    def check(self, killed: str) -> None:
        assert self._sending.reply().stop_reason.stop_reason == "max_steps"
        assert_runs_ended_once(self.product, self.agent, [("completed", "max_steps")])
        assert_notes(self.product, self.agent, LINES[:2])


class Failure(Scenario):
    """A turn whose model call is refused, for what no second request mends."""

    text = do({"fail": 401})
    requests = 1
    roles = ("system", "user")

    def begin(self) -> None:
        self._sending = Sending(self.product, self.agent, self.text)

    def check(self, killed: str) -> None:
        with pytest.raises(APIError):
            self._sending.reply()
        assert_runs_ended_once(self.product, self.agent, [("failed", "llm_api_error")])


class AnotherModel(Scenario):
    """A turn whose model refuses, and that its agent's other model takes on."""

    text = do(say("by another") | {"fail": 401, "only": MODEL})
    requests = 2
    roles = ("system", "user", "assistant")

    def begin(self) -> None:
        settings: Any = {"provider_type": "openai", "fallback_models": [OTHER_HANDLE]}
        client = patient_client(self.product)
        client.agents.update(self.agent.id, model_settings=settings)
        self._sending = Sending(self.product, self.agent, self.text)

    def check(self, killed: str) -> None:
        assert self._sending.reply().messages[-1].content == "by another"
        assert_runs_ended_once(self.product, self.agent, [("completed", "end_turn")])
        (step,) = patient_client(self.product).steps.list(agent_id=self.agent.id)
        assert step.api_model_handle == OTHER_HANDLE


class HandOver(Scenario):
    """Turns until the execution continues as new, which it does when nobody speaks."""

    turns = 3
    requests = turns * STEPS
    roles = ("system", *ROLES[1:] * turns)

    def begin(self) -> None:
        for _ in range(self.turns):
            Sending(self.product, self.agent).reply()

    def check(self, killed: str) -> None:
        ends = [("completed", "end_turn")] * self.turns
        assert_runs_ended_once(self.product, self.agent, ends)
        assert_notes(self.product, self.agent, LINES * self.turns)


class Sweep(Scenario):
    """A run whose API says nothing to its conversation, so that the sweeper does."""

    def begin(self) -> None:
        self._held = contextlib.ExitStack()
        reached = self._held.enter_context(self.product.stopped_at("run-stored"))
        super().begin()
        reached()

    def end(self) -> None:
        self._held.close()


class Compaction(Scenario):
    """A turn that the window has no room for, so that history is summed up first."""

    turns = 3
    text = do(say("done") | {"pad": "word " * 800})
    requests = 1
    roles = ("system", *("user", "assistant") * turns, "user", "summary", "assistant")
    prompt = ("system", "user", "user")

    def __init__(self, product: KillableProduct) -> None:
        self.product = product
        self.agent = patient_client(product).agents.create(
            model=HANDLE,
            system="[window 2000]",
            context_window_limit=2_000,
            include_base_tools=False,
            extra_body={"compaction_settings": {"prompt": summing(say("They like tea."))}},
        )

    def begin(self) -> None:
        for n in range(self.turns):
            Sending(self.product, self.agent, f"{n} {'word ' * 150}").reply()
        self._sending = Sending(self.product, self.agent, self.text)

    def check(self, killed: str) -> None:
        """There is one summary, and the window begins behind what it tells of."""
        assert self._sending.reply().messages[-1].content == "done"
        ends = [("completed", "end_turn")] * (self.turns + 1)
        assert_runs_ended_once(self.product, self.agent, ends)
        assert self.product.query(
            "SELECT window_start, epoch, summary_id FROM conversations WHERE agent_id = %s",
            self.agent.id,
        ) == [(2 * self.turns, 1, self._summary_id())]

    def _summary_id(self) -> str:
        ((found,),) = self.product.query(
            "SELECT id FROM messages WHERE agent_id = %s AND role = 'summary'", self.agent.id
        )
        return str(found)


class AgentCreation(Scenario):
    """An agent that is being made."""

    requests = 0
    roles = ("system",)

    def __init__(self, product: KillableProduct) -> None:
        self.product = product

    def begin(self) -> None:
        self._name = f"agent {uuid.uuid4()}"
        self._creating: Background[AgentState] = Background(self._create)

    def check(self, killed: str) -> None:
        self.agent = self._creating.result()
        found = self.product.query("SELECT id FROM agents WHERE name = %s", self._name)
        assert found == [(self.agent.id,)]
        assert_notes(self.product, self.agent, [])

    def _create(self) -> AgentState:
        return patient_client(self.product).agents.create(
            name=self._name, model=HANDLE, memory_blocks=[{"label": "notes", "value": ""}]
        )


class BlockEdit(Scenario):
    """A block that is being changed by hand."""

    requests = 0
    roles = ("system",)

    def begin(self) -> None:
        self._editing: Background[BlockResponse] = Background(self._edit)

    def check(self, killed: str) -> None:
        assert self._editing.result().value == "by hand"
        assert_notes(self.product, self.agent, ["by hand"])

    def _edit(self) -> BlockResponse:
        return patient_client(self.product).agents.blocks.update(
            "notes", agent_id=self.agent.id, value="by hand"
        )


@contextlib.contextmanager
def begun(scenario: Scenario) -> Iterator[None]:
    """Begin it, and let go of what it holds in any case."""
    try:
        scenario.begin()
        yield
    finally:
        scenario.end()
