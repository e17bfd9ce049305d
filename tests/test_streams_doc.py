"""What docs/streams.md says, done as it stands there."""

import re
from typing import Any

from letta_client import Letta
from letta_client.types import AgentState

from tests.support.product import REPOSITORY, Product
from tests.support.provider import call, do, say
from tests.support.terminal import run_in_shell

DOC = (REPOSITORY / "docs" / "streams.md").read_text()


def of_kind(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", DOC, re.DOTALL)
    return str(found)


def test_the_reader_shows_nothing_but_what_counts(client: Letta, agent: AgentState) -> None:
    names: dict[str, Any] = {}
    exec(of_kind("python"), names)
    broken = say("What counts in the document.") | {"break_after": 3, "pause_s": 0.05}
    with client.agents.messages.create(
        agent.id, input=do(broken), streaming=True, stream_tokens=True
    ) as events:
        assert list(names["texts"](events).values()) == ["What counts in the document."]


def test_the_command_reads_on(server: Product, client: Letta, agent: AgentState) -> None:
    steps = [call("memory_insert", label="human", new_string=f"line {n}") for n in range(7)]
    reply = client.agents.messages.create(agent.id, input=do(*steps, say("That was it.")))
    run = client.runs.retrieve(str(reply.messages[0].run_id))
    variables = {"O": server.url, "RUN": run.id, "CONVERSATION": str(run.conversation_id)}
    done = run_in_shell(server, of_kind("sh"), **variables)
    assert done.returncode == 0, done.stderr
    assert '"seq_id": 12,' in done.stdout.split("\n")[0], "a ping with what the reader has"
    assert '"seq_id": 13,' in done.stdout
    assert '"seq_id": 12,' not in done.stdout.split("\n", 1)[1]
    assert done.stdout.endswith("data: [DONE]\n\n")
