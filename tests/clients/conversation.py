"""One conversation, spoken through whichever release of the official client is first on the path.

Run as a script: `conversation.py <url of the server> <model handle>`. Everything that the server
answers is checked against the client's own types; what is printed is the answers, in JSON.
"""

import json
import sys
from collections.abc import Iterable
from typing import Any

import letta_client
from letta_client import APIStatusError, Letta, NotFoundError, UnprocessableEntityError
from pydantic import BaseModel, TypeAdapter

_TEXT = "do:" + json.dumps(
    [
        {
            "say": "one moment",
            "reasoning": "they told me",
            "calls": [
                {
                    "name": "memory_insert",
                    "arguments": '{"label": "human", "new_string": "Their name is Ada."}',
                }
            ],
        },
        {"say": "noted, Ada"},
    ]
)


class Transcript:
    """What was answered, in order. Each answer must fit the type that the client gives it."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def note(self, what: str, answer: Any) -> Any:
        """Keep an answer and return it."""
        self.entries.append({"what": what} | _checked(answer))
        return answer

    def note_all(self, what: str, answers: Iterable[Any]) -> list[Any]:
        """Keep a list of answers and return it."""
        return [self.note(what, answer) for answer in answers]

    def note_pieces(self, what: str, pieces: Iterable[Any]) -> None:
        """Keep a stream of tokens; how they are cut into pieces is a matter of time."""
        for piece in pieces:
            self.note(what, piece)
            *_, before, last = [{"answer": {}}, *self.entries]
            if _is_more_of(before["answer"], last["answer"]):
                before["answer"]["content"] += self.entries.pop()["answer"]["content"]

    def note_failure(self, what: str, error: APIStatusError) -> None:
        """Keep an error."""
        answer = {"status": error.status_code, "body": error.body}
        kind = type(error).__name__
        self.entries.append({"what": what, "type": kind, "unknown": [], "answer": answer})


def _is_more_of(before: dict[str, Any], piece: dict[str, Any]) -> bool:
    said = "assistant_message"
    same = before.get("message_type") == piece.get("message_type") == said
    return same and before["otid"] == piece["otid"]


def _checked(answer: Any) -> dict[str, Any]:
    """The answer as plain data. Raises when a field does not fit, which the client lets pass."""
    assert isinstance(answer, BaseModel), f"{answer!r} was not parsed"
    plain: dict[str, Any] = answer.model_dump(mode="json", by_alias=True, exclude_unset=True)
    TypeAdapter(type(answer)).validate_python(plain)
    return {
        "type": type(answer).__name__,
        "unknown": sorted(set(_unknown(answer, ""))),
        "answer": plain,
    }


def _unknown(value: Any, path: str) -> Iterable[str]:
    """Fields that the client's types do not have."""
    if isinstance(value, BaseModel):
        known = {field.alias for field in type(value).model_fields.values()}
        yield from (f"{path}{name}" for name in value.model_extra or {} if name not in known)
        for name in value.model_fields_set:
            yield from _unknown(getattr(value, name, None), f"{path}{name}.")
    elif isinstance(value, list):
        for item in value:
            yield from _unknown(item, path)


def converse(client: Letta, model: str, kept: Transcript) -> None:
    """The conversation: create, send, stream, list, edit, look at runs and steps, delete."""
    kept.note("health", client.health())
    kept.note_all("model", client.models.list())
    agent = client.agents.create(
        name="ada",
        model=model,
        memory_blocks=[
            {"label": "persona", "value": "I am kind."},
            {"label": "human", "value": "Nothing is known yet."},
        ],
        tags=["client"],
    )
    kept.note("created agent", agent)
    kept.note(
        "agent",
        client.agents.retrieve(agent.id, include=["agent.blocks", "agent.tools", "agent.tags"]),
    )
    kept.note_all("agents", client.agents.list(tags=["client"]))
    kept.note("reply", client.agents.messages.create(agent.id, input=_TEXT))
    hello = {"role": "user", "content": "hello"}
    kept.note_all("streamed", client.agents.messages.stream(agent.id, messages=[hello]))
    tokens = client.agents.messages.stream(agent.id, messages=[hello], stream_tokens=True)
    kept.note_pieces("token", tokens)
    kept.note_all("block", client.agents.blocks.list(agent.id))
    kept.note("changed block", client.agents.blocks.update("human", agent_id=agent.id, value="Bo"))
    look_back(client, agent.id, kept)
    fail(client, agent.id, kept)
    client.agents.delete(agent.id)
    try:
        client.agents.retrieve(agent.id)
    except NotFoundError as error:
        kept.note_failure("deleted agent", error)


def look_back(client: Letta, agent_id: str, kept: Transcript) -> None:
    """Messages in both orders, page by page, then runs and steps."""
    kept.note_all("page", client.agents.messages.list(agent_id, limit=2, order="asc"))
    newest = list(client.agents.messages.list(agent_id, limit=2))
    oldest = client.agents.messages.list(agent_id, limit=1_000, order="asc").items
    assert sorted(map(_key, newest)) == sorted(map(_key, oldest))
    runs = kept.note_all("run", client.runs.list(agent_id=agent_id, limit=1, order="asc"))
    kept.note("usage", client.runs.usage.retrieve(runs[0].id))
    kept.note_all("message of a run", client.runs.messages.list(runs[0].id))
    steps = kept.note_all("step of a run", client.runs.steps.list(runs[0].id, order="asc"))
    kept.note_all("step", client.steps.list(agent_id=agent_id, limit=1, order="asc"))
    kept.note("retrieved step", client.steps.retrieve(steps[0].id))
    kept.note("metrics", client.steps.metrics.retrieve(steps[0].id))
    kept.note_all("message of a step", client.steps.messages.list(steps[0].id))


def fail(client: Letta, agent_id: str, kept: Transcript) -> None:
    """What goes wrong on purpose: a refused model call, a malformed id."""
    try:
        client.agents.messages.create(agent_id, input='do:[{"fail": 401}]')
    except APIStatusError as error:
        kept.note_failure("refused call", error)
    try:
        client.agents.retrieve("agent-1")
    except UnprocessableEntityError as error:
        kept.note_failure("malformed id", error)


def _key(message: Any) -> tuple[str, str]:
    return (message.id, message.message_type)


def main() -> None:
    """Speak, and print the transcript."""
    url, model = sys.argv[1:]
    kept = Transcript()
    converse(Letta(base_url=url, api_key="unused", max_retries=0), model, kept)
    json.dump({"release": letta_client.__version__, "entries": kept.entries}, sys.stdout)


if __name__ == "__main__":
    main()
