"""What a provider says reaches the client and the record, and never Temporal's history."""

import base64
import json
from typing import Any

import httpx
from letta_client import Letta
from letta_client.types import AgentState
from temporalio.client import WorkflowHistory

from tests.support.executions import executions_of
from tests.support.product import Product
from tests.support.provider import do


def decoded(history: WorkflowHistory) -> str:
    """All of a history as text, payloads included."""

    def read(value: Any) -> Any:
        if isinstance(value, dict):
            if isinstance(value.get("data"), str) and "metadata" in value:
                return base64.b64decode(value["data"]).decode("utf-8", "replace")
            return {name: read(item) for name, item in value.items()}
        return [read(item) for item in value] if isinstance(value, list) else value

    return json.dumps(read(json.loads(history.to_json())))


async def test_no_word_of_a_provider_enters_temporals_history(
    server: Product, client: Letta, agent: AgentState
) -> None:
    url = f"{server.url}/v1/agents/{agent.id}/messages"
    for action, status in (({"fail": 500}, 500), ({"fail": 400, "code": "odd_code"}, 400)):
        body = {"input": do(action)}
        answer = httpx.post(url, json=body, timeout=60)
        assert answer.status_code == status
        assert "scripted failure" in answer.json()["error"]["detail"]
    texts = [decoded(history) for _, history in await executions_of(server, agent)]
    assert any("llm_error" in text for text in texts), "the kind is there"
    for words in ("scripted failure", "odd_code", "answered with status"):
        assert not any(words in text for text in texts)
    for run in client.runs.list(agent_id=agent.id):
        assert "answered with status" in str(run.metadata)
    (step, _) = client.steps.list(agent_id=agent.id).items
    assert "scripted failure" in str(step.error_data)
