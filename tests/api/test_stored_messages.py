"""No stored message ends a conversation: whatever happened in a turn, the next one is answered.

The provider refuses what real ones refuse, in their words. Each kind has a model of its own, so
that nothing is known of it before.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from letta_client import APIStatusError, Letta
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.llm.requests.refusing import (
    Habit,
    arguments_are_odd,
    calls_of,
    images_of,
    name_is_odd,
    openai_error,
    refuses,
    refuses_field,
    roles,
    wants_turns,
)
from tests.support.product import Product, eventually
from tests.support.provider import FakeProvider, call, do, say

PNG = "iVBORw0KGgo="
BAD = "AAAA"
FILTERED = "a word that is filtered"


def shows(data: str) -> list[dict[str, Any]]:
    source = {"type": "base64", "media_type": "image/png", "data": data}
    return [{"type": "text", "text": "look"}, {"type": "image", "source": source}]


def calls(name: str, arguments: str = "{}") -> str:
    return do({"calls": [{"name": name, "arguments": arguments}]}, say("done"))


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


BAD_NAME = (
    400,
    openai_error(
        "Invalid 'messages[2].tool_calls[0].function.name': string does not match pattern.",
        param="messages[2].tool_calls[0].function.name",
    ),
)
ALTERNATE = (
    "After the optional system message, conversation roles must alternate user and assistant "
    "roles except for tool calls and results."
)


@dataclass(frozen=True)
class Kind:
    """One way in which a conversation used to end.

    Attributes:
        habits: What its provider refuses.
        turns: What is sent, the last plain message left out. Each may fail.
        failing: How many of them do.
    """

    habits: list[Habit]
    turns: list[Any]
    failing: int = 0


def of_names(name: str) -> Kind:
    return Kind([refuses(name_is_odd, *BAD_NAME)], [calls(name)])


def of_arguments(arguments: str) -> Kind:
    said = openai_error("Failed to parse tool call arguments as JSON")
    return Kind([refuses(arguments_are_odd, 400, said)], [calls("memory_insert", arguments)])


def user_behind_tool(body: dict[str, Any]) -> bool:
    asked = roles(body)
    return ("tool", "user") in itertools.pairwise(asked)


KINDS = {
    "a name with signs": of_names("$memory insert"),
    "a name with a namespace": of_names("functions.memory_insert"),
    "a name with markup": of_names("memory_insert<|channel|>commentary"),
    "no name": of_names(""),
    "a name of 200 characters": of_names("x" * 200),
    "half a surrogate pair": of_arguments('{"label": "half \\ud83d pair"}'),
    "NaN": of_arguments('{"label": NaN}'),
    "arguments that are a list": of_arguments("[1, 2]"),
    "arguments that break off": of_arguments('{"label": '),
    "an image that cannot be read": Kind(
        [
            refuses(
                lambda body: any(BAD in url for url in images_of(body)),
                400,
                openai_error("Could not process image"),
            )
        ],
        [[user(shows(BAD))]],
    ),
    "an image without a word of why": Kind(
        [refuses(images_of, 422, "Unprocessable Entity")], [[user(shows(PNG))]]
    ),
    "an image for a model that sees none": Kind(
        [refuses(images_of, 404, openai_error("No endpoints found that support image input"))],
        [[user(shows(PNG))]],
    ),
    "an image alone, for a model that sees none": Kind(
        [refuses(images_of, 400, openai_error("'messages.1' : content must be a string"))],
        [[user(shows(PNG)[1:])]],
    ),
    "more images than are taken": Kind(
        [
            refuses(
                lambda body: len(images_of(body)) > 1,
                400,
                openai_error("At most 1 image(s) may be provided in one request."),
            )
        ],
        [[user(shows(PNG))], [user(shows(BAD))]],
    ),
    "two users in a row": Kind(
        [
            refuses(
                lambda body: body["messages"][-1]["content"] == "fail", 401, openai_error("no")
            ),
            wants_turns(500, {"error": {"code": 500, "message": f"Jinja Exception: {ALTERNATE}"}}),
        ],
        ["fail"],
        failing=1,
    ),
    "a user behind a tool": Kind(
        [
            refuses(
                user_behind_tool,
                400,
                {"object": "error", "message": "Unexpected role 'user' after role 'tool'"},
            )
        ],
        [do(call("memory_insert", label="human", new_string="x"), {"fail": 401})],
        failing=1,
    ),
    "two users in one request": Kind(
        [wants_turns(400, openai_error(ALTERNATE))], [[user("one"), user("two")]]
    ),
    "a second system message": Kind(
        [
            refuses(
                lambda body: "system" in roles(body)[1:],
                400,
                openai_error("System message must be at the beginning."),
            )
        ],
        [[{"role": "system", "content": "It is late."}, user("hello")]],
    ),
    "words that are filtered": Kind(
        [
            refuses(
                lambda body: FILTERED in json.dumps(body["messages"]),
                400,
                openai_error("The prompt was filtered", code="content_filter"),
            )
        ],
        [FILTERED],
        failing=1,
    ),
    "words that are filtered as if the key were not allowed": Kind(
        [
            refuses(
                lambda body: FILTERED in json.dumps(body["messages"]),
                403,
                {"code": "permission-denied", "error": "Content violates usage guidelines."},
            )
        ],
        [FILTERED],
        failing=1,
    ),
    "words that a firewall takes for an attack": Kind(
        [
            refuses(
                lambda body: FILTERED in json.dumps(body["messages"]),
                403,
                "<html><head><title>403 Forbidden</title></head></html>",
            )
        ],
        [FILTERED],
        failing=1,
    ),
    "words at which a server fails each time": Kind(
        [
            refuses(
                lambda body: FILTERED in json.dumps(body["messages"]),
                500,
                {"error": {"message": "Internal server error", "type": "api_error"}},
            )
        ],
        [FILTERED],
        failing=1,
    ),
    "something that nobody understands": Kind(
        [
            refuses(
                lambda body: "\\u0416" in json.dumps(body["messages"]),
                400,
                {"error": {"code": 400, "message": "Request contains an invalid argument."}},
            )
        ],
        ["what is \N{CYRILLIC CAPITAL LETTER ZHE}?"],
        failing=1,
    ),
    "a message of spaces": Kind(
        [
            refuses(
                lambda body: any(
                    isinstance(message["content"], str) and not message["content"].strip()
                    for message in body["messages"]
                ),
                400,
                openai_error("messages: text content blocks must contain non-whitespace text"),
            )
        ],
        [[user("  \n ")]],
    ),
    "a user's name": Kind(
        [
            refuses(
                lambda body: any("name" in message for message in body["messages"]),
                422,
                {
                    "detail": [
                        {
                            "type": "extra_forbidden",
                            "loc": ["body", "messages", 1, "user", "name"],
                            "msg": "Extra inputs are not permitted",
                        }
                    ]
                },
            )
        ],
        [[user("hello", name="ada")]],
    ),
    "ids of another form": Kind(
        [
            refuses(
                lambda body: any(len(one["id"]) != 9 for one in calls_of(body)),
                400,
                openai_error(
                    "Tool call id was call_0 but must be a-z, A-Z, 0-9, with a length of 9."
                ),
            )
        ],
        [calls("memory_insert")],
    ),
    "calls that say null": Kind(
        [
            refuses(
                lambda body: any(message["content"] is None for message in body["messages"]),
                400,
                openai_error("messages.2.content: Input should be a valid string"),
            )
        ],
        [calls("memory_insert")],
    ),
    "a field of ours": Kind(
        [refuses_field("parallel_tool_calls", 400, {"error": 'json: unknown field "{name}"'})],
        ["hello"],
    ),
    "fields of ours that are refused without a word": Kind(
        [refuses_field("parallel_tool_calls", 400, "Bad Request")], ["hello"]
    ),
}
MODELS = {f"kind-{n}": kind for n, kind in enumerate(KINDS.values())}


class StrictProvider(FakeProvider):
    """The scripted provider, which refuses first what the model's kind refuses."""

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"data": [{"id": name, "object": "model"} for name in MODELS]})

    async def _complete(self, request: Request) -> Response:
        body = json.loads(await request.body())
        for habit in MODELS[body["model"]].habits:
            if (refused := habit(body)) is not None:
                self.requests.append(body)
                status, said = refused
                if isinstance(said, str):
                    return Response(said, status)
                return JSONResponse(said, status)
        return await super()._complete(request)


@pytest.fixture(scope="module")
def strict() -> Iterator[StrictProvider]:
    provider = StrictProvider()
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def strict_client(
    strict: StrictProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Letta]:
    # One worker, since what is only guessed is known to the one that guessed it.
    env = {
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": strict.url,
        "O_WORKERS": "1",
        "O_TRACES": "all",
    }
    product = Product(tmp_path_factory.mktemp("strict") / "o", env)
    product.start()
    yield product.client(max_retries=0)
    product.stop()


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", MODELS, ids=KINDS)
def test_the_next_plain_message_is_answered(
    strict_client: Letta, strict: StrictProvider, model: str, streams: bool
) -> None:
    kind = MODELS[model]
    agent = strict_client.agents.create(
        model=f"openai/{model}", memory_blocks=[{"label": "human", "value": "x"}]
    )
    ask = partial(ended, strict_client, agent.id, streams=streams)
    failed = [ask(sent) != "end_turn" for sent in kind.turns]
    assert sum(failed) == kind.failing
    assert ask("hello") == "end_turn"
    strict.requests.clear()
    assert ask("again") == "end_turn"
    assert len(strict.requests) == 1, "what helped was remembered"


def test_a_trace_says_what_was_changed(strict_client: Letta) -> None:
    model = list(KINDS).index("two users in one request")
    agent = strict_client.agents.create(model=f"openai/kind-{model}")
    ended(strict_client, agent.id, [user("one"), user("two")], streams=False)
    (step,) = strict_client.steps.list(agent_id=agent.id).items

    def trace() -> Any:
        return strict_client.get(f"/v1/steps/{step.id}/trace", cast_to=object)

    found = eventually(trace, what="the trace")
    assert any("merged" in note for note in found["notes"])
    assert found["request_json"]["messages"][-1]["content"].endswith("one\n\ntwo")


def ended(client: Letta, agent_id: str, sent: Any, *, streams: bool) -> str:
    """How a turn ended."""
    messages: Any = [user(sent)] if isinstance(sent, str) else sent
    try:
        with client.agents.messages.create(
            agent_id, messages=messages, streaming=True, stream_tokens=streams
        ) as stream:
            stops = [one for one in stream if one.message_type == "stop_reason"]
    except APIStatusError:  # an error within the stream
        return "error"
    return stops[0].stop_reason
