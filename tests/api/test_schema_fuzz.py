"""Requests made up from the API's own document: each is answered as the document says.

The seed is fixed, so a failure comes again. `O_FUZZ_EXAMPLES` asks more of each operation, and also
goes to the edges of every schema, which are ten thousand requests.
"""

import os
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from letta_client import Letta
from schemathesis.checks import CHECKS, load_all_checks

from tests.support.document import DOCUMENT
from tests.support.product import Product
from tests.support.provider import HANDLE
from tests.support.tools import make_tool

EXAMPLES = int(os.environ.get("O_FUZZ_EXAMPLES", "6"))
# A path such as `/v1/agents/count` is also one of `/v1/agents/{agent_id}`, whose methods it takes
# and refuses as an id that is none, as in V1; methods that are not built answer 501.
#
# What a valid request is answered with is a matter of what is stored, which the document cannot
# say; and where a field is ignored, a request is not refused for it, as in V1.
_NOT_SAID = (
    "unsupported_method",
    "positive_data_acceptance",
    "negative_data_rejection",
    "missing_required_header",
)

_NOWHERE = "http://127.0.0.1:9/v1"
_MCP: Any = {"mcp_server_type": "streamable_http", "server_url": _NOWHERE}
_FLAT_MCP: Any = {"server_url": _NOWHERE, "command": "true", "args": []}

load_all_checks()
schema = schemathesis.openapi.from_dict(DOCUMENT)
schema.config.phases.coverage.enabled = "O_FUZZ_EXAMPLES" in os.environ


@pytest.fixture(scope="module")
def ids(server: Product, client: Letta) -> dict[str, str]:
    """Things that exist, by the name of the path's parameter."""
    agent = client.agents.create(model=HANDLE, memory_blocks=[{"label": "human", "value": "x"}])
    said = client.agents.messages.create(agent.id, input="hello").messages[0]
    run = client.runs.retrieve(str(said.run_id))
    archive = client.archives.create(name="loose")
    folder_id = client.folders.create(name="fuzzed").id
    file = client.folders.files.upload(folder_id, file=("a.txt", b"x", "text/plain"))
    return {
        "agent_id": agent.id,
        "message_id": said.id,
        "run_id": run.id,
        "step_id": str(said.step_id),
        "conversation_id": client.conversations.create(agent_id=agent.id).id,
        "block_label": "human",
        "folder_id": folder_id,
        "file_id": str(file.id),
        "archive_id": archive.id,
        "passage_id": str(client.archives.passages.create(archive.id, text="x").id),
        "memory_id": str(client.agents.passages.create(agent.id, text="x")[0].id),
        "block_id": client.blocks.create(label="loose", value="x").id,
        "tool_name": "conversation_search",
        "provider_id": str(
            client.post(
                "/v1/providers/",
                cast_to=httpx.Response,
                body={"name": "fuzzed", "provider_type": "vllm", "base_url": _NOWHERE},
            ).json()["id"]
        ),
        "tool_id": make_tool(client).id,
        "mcp_server_id": str(client.mcp_servers.create(server_name="fuzz", config=_MCP).id),
    }


def _reachable(body: Any) -> Any:
    """The body without addresses: tests send nothing beyond this machine."""
    if not isinstance(body, dict):
        return body
    provider = {"base_url": _NOWHERE} if "provider_type" in body or "base_url" in body else {}
    mcp = {"config": _MCP} if "config" in body or "server_name" in body else {}
    flat = {name: value for name, value in _FLAT_MCP.items() if name in body}
    return {**body, "callback_url": None, **provider, **mcp, **flat}


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_operation_answers_as_the_document_says(
    case: schemathesis.Case[Any], server: Product, ids: dict[str, str]
) -> None:
    if case.method != "DELETE":
        case.path_parameters = {
            name: ids.get(name, value) for name, value in (case.path_parameters or {}).items()
        }
    case.body = _reachable(case.body)
    left_out: list[Any] = [CHECKS.get_one(name) for name in _NOT_SAID]
    answer = case.call(base_url=server.url, timeout=60)
    asks_others = any(one in case.path for one in ("/providers/", "/mcp-servers/", "/mcp/servers"))
    is_refused_elsewhere = asks_others and answer.status_code in (500, 502)
    if answer.status_code == 501 or is_refused_elsewhere:
        left_out.append(CHECKS.get_one("not_a_server_error"))
    case.validate_response(answer, excluded_checks=left_out)
