"""Tools that a model writes on request: judged, shown and not stored."""

from typing import Any

import httpx
import pytest
from letta_client import Letta

from o.ids import new_id
from tests.support.organizations import new_organization_by_api
from tests.support.product import Product
from tests.support.provider import (
    EMBEDDING_HANDLE,
    HANDLE,
    OTHER_HANDLE,
    FakeProvider,
    call,
    costing,
    do,
    say,
)

GOOD = '''def roll_dice(sides: int = 6) -> int:
    """Roll a die.

    Args:
        sides: How many sides it has.
    """
    import random

    return random.randint(1, sides)
'''
UNTYPED = GOOD.replace("sides: int = 6", "sides=6")
ROLL = {"tool_name": "roll_dice", "validation_errors": []}


def written(source: Any, **more: Any) -> dict[str, Any]:
    """The action of a model that hands in this source."""
    given = {
        "source_code": source,
        "sample_args_json": '{"sides": 20}',
        "pip_requirements": [],
        "explanation": "It rolls.",
    }
    return call("write_tool", **given | more)


@pytest.fixture(scope="module")
def key(server: Product) -> str:
    """Of an organization of its own, where nobody else's tests use models or make tools."""
    return new_organization_by_api(server, new_id("writing"))


@pytest.fixture(scope="module")
def client(server: Product, key: str) -> Letta:
    return server.client(api_key=key)


@pytest.fixture(scope="module")
def http(server: Product, key: str) -> httpx.Client:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.Client(base_url=f"{server.url}/v1", headers=headers, timeout=60)


def write(http: httpx.Client, *actions: dict[str, Any], **more: Any) -> httpx.Response:
    body = ROLL | {"prompt": f"Rolls a die.\n{do(*actions)}"} | more
    return http.post("/tools/generate-tool", json=body)


def prompts(provider: FakeProvider, about: str) -> list[str]:
    """What a model was asked to write with these words in it."""
    asked = [str(prompt[-1]["content"]) for prompt in provider.prompts]
    return [text for text in asked if about in text and text.startswith("Write the tool")]


def test_a_tool_is_written_and_shown_and_not_stored(http: httpx.Client, client: Letta) -> None:
    before = client.tools.list(limit=1000).items
    answer = write(http, written(GOOD, pip_requirements=["httpx>=0.27"]))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    tool = found["tool"]
    assert (tool["name"], tool["tool_type"], tool["source_type"]) == (
        "roll_dice",
        "custom",
        "python",
    )
    assert (tool["source_code"], tool["description"]) == (GOOD, "Roll a die.")
    assert tool["json_schema"]["parameters"]["properties"]["sides"]["type"] == "integer"
    assert [one["name"] for one in tool["pip_requirements"]] == ["httpx>=0.27"]
    assert (found["sample_args"], found["response"]) == ({"sides": 20}, "It rolls.")
    assert client.tools.list(limit=1000).items == before
    assert http.get(f"/tools/{tool['id']}").status_code == 404


def test_what_is_written_can_be_stored_as_it_is(http: httpx.Client) -> None:
    source = GOOD.replace("roll_dice", "roll_written_dice")
    tool = write(http, written(source), tool_name="roll_written_dice").json()["tool"]
    stored = http.post("/tools/", json={"source_code": tool["source_code"]}).json()
    assert stored["json_schema"] == tool["json_schema"]


@pytest.mark.parametrize(
    ("first", "fault"),
    [
        (written(UNTYPED), "no type annotation"),
        (written("def roll_dice(:"), "syntax"),
        (written(GOOD.replace("roll_dice", "throw")), "is throw, and not roll_dice"),
        (written(GOOD, pip_requirements=["git+https://x.y/z"]), "no name of a package"),
        (written(7), "without source_code"),
        (written("  "), "without source_code"),
        (call("write_tool"), "without source_code"),
        (call("write_tol", source_code=GOOD), "write_tool was not called"),
        (say("Sure! Here is the tool."), "write_tool was not called"),
        ({"calls": [{"name": "write_tool", "arguments": '{"source_code": "def'}]}, "no JSON"),
        ({"calls": [{"name": "write_tool", "arguments": "[1]"}]}, "without source_code"),
    ],
)
def test_a_model_is_told_once_what_is_wrong_with_its_tool(
    http: httpx.Client, provider: FakeProvider, first: dict[str, Any], fault: str
) -> None:
    wish = f"Wish {new_id('request')}"
    answer = write(http, first, written(GOOD), prompt=f"{wish}\n{do(first, written(GOOD))}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["tool"]["source_code"] == GOOD
    asked = prompts(provider, wish)
    assert len(asked) == 2
    assert fault in asked[1]
    bad = write(http, first)
    assert bad.status_code == 502
    assert (bad.json()["error"]["type"], fault in bad.json()["error"]["detail"]) == (
        "llm_error",
        True,
    )


@pytest.mark.parametrize(
    ("more", "sample"),
    [
        ({"sample_args_json": {"sides": 3}}, {"sides": 3}),
        ({"sample_args_json": "sides=3"}, {}),
        ({"sample_args_json": "[3]"}, {}),
        ({"sample_args_json": None, "pip_requirements": None, "explanation": None}, {}),
        ({"pip_requirements": [7, ""], "sample_args_json": "{}"}, {}),
    ],
)
def test_what_stands_beside_the_source_is_taken_as_far_as_it_makes_sense(
    http: httpx.Client, more: dict[str, Any], sample: dict[str, Any]
) -> None:
    answer = write(http, written(f"```python\n{GOOD}```", **more))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["sample_args"], found["tool"]["source_code"]) == (sample, GOOD)
    assert found["tool"]["pip_requirements"] is None


def test_source_and_faults_of_the_client_are_shown_to_the_model(
    http: httpx.Client, provider: FakeProvider
) -> None:
    prompt = f"Mend my dice.\n{do(written(GOOD))}"
    answer = write(
        http,
        prompt=prompt,
        starter_code=UNTYPED,
        validation_errors=["it has no types"],
        handle=OTHER_HANDLE,
    )
    assert answer.status_code == 200, answer.text
    (asked,) = prompts(provider, "Mend my dice.")
    assert UNTYPED in asked
    assert "it has no types" in asked
    request = provider.requests[provider.prompts.index(_prompt_of(provider, asked))]
    assert request["model"] == OTHER_HANDLE.removeprefix("openai/")


def _prompt_of(provider: FakeProvider, text: str) -> list[dict[str, Any]]:
    return next(one for one in provider.prompts if one[-1]["content"] == text)


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ({"tool_name": "roll dice"}, 400, "no name of a Python function"),
        ({"tool_name": "roll-dice"}, 400, "no name of a Python function"),
        ({"tool_name": ""}, 400, "no name of a Python function"),
        ({"tool_name": "import"}, 400, "no name of a Python function"),
        ({"tool_name": "_roll"}, 400, "no name of a Python function"),
        ({"tool_name": "würfel"}, 400, "no name of a Python function"),
        ({"tool_name": "x" * 49}, 400, "no name of a Python function"),
        ({"tool_name": "x" * 201}, 422, "200"),
        ({"tool_name": None}, 422, "string"),
        ({"tool_name": "memory_insert"}, 409, "comes with the server"),
        ({"prompt": ""}, 422, "at least 1 character"),
        ({"handle": "gpt-4"}, 400, "handle"),
        ({"handle": "nobody/gpt-4"}, 404, "no provider"),
        ({"handle": EMBEDDING_HANDLE}, 400, "embeds"),
        ({"handle": ""}, 200, "roll_dice"),
        ({"validation_errors": None}, 422, "list"),
        ({"validation_errors": [1]}, 422, "string"),
        ({"starter_code": "x" * (1024 * 1024 + 1)}, 422, "larger than"),
        ({"starter_code": None}, 200, "roll_dice"),
    ],
)
def test_odd_requests_for_a_tool_are_answered_in_words(
    http: httpx.Client, more: dict[str, Any], status: int, words: str
) -> None:
    answer = write(http, written(GOOD), **more)
    assert answer.status_code == status, answer.text
    assert words in answer.text


def test_a_provider_that_fails_is_told_of(http: httpx.Client) -> None:
    answer = write(http, {"fail": 401, "say": "no"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "llm_authentication")
    assert "scripted failure" in answer.json()["error"]["detail"]


def test_what_it_cost_is_counted_for_no_agent(http: httpx.Client) -> None:
    def used() -> int:
        groups = http.get("/usage", params={"group_by": "agent", "limit": 1000}).json()["groups"]
        return sum(one["total_tokens"] for one in groups if one["key"] == "")

    before = used()
    tokens = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    assert write(http, costing(written(GOOD), **tokens)).status_code == 200
    assert used() - before == 120


def test_the_default_model_writes_where_none_is_named(
    http: httpx.Client, provider: FakeProvider
) -> None:
    write(http, written(GOOD), prompt=f"Of the default model.\n{do(written(GOOD))}")
    (asked,) = prompts(provider, "Of the default model.")
    request = provider.requests[provider.prompts.index(_prompt_of(provider, asked))]
    assert f"openai/{request['model']}" == HANDLE
