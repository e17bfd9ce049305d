"""Records the histories that `test_replay.py` replays: `python -m tests.workflows.record KIND...`.

Run it when the workflow has learnt something new, and add files; those that stand stay, because
executions like them may be open somewhere.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
from letta_client import APIStatusError
from temporalio.client import Client

from tests.support.embedding_vendor import embedding_vendor
from tests.support.product import REPOSITORY, Product, eventually
from tests.support.provider import (
    HANDLE,
    MODEL,
    OTHER_HANDLE,
    FakeProvider,
    call,
    do,
    say,
    together,
)
from tests.support.receiver import Receiver
from tests.support.windows import summing
from tests.workflows.plays import PLAYS, Stage

HISTORIES = Path(__file__).parent / "histories"


def main() -> None:
    """Play one conversation of each kind that is named and store the histories it leaves."""
    provider = FakeProvider()
    provider.start()
    env = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": provider.url}
    product = Product(Path(tempfile.mkdtemp()) / "o", env)
    product.start()
    try:
        for name in sys.argv[1:]:
            if name == "callback":
                _record_callback(product)
            elif name == "embedding":
                _record_embedding(product)
            elif name == "ingestion":
                _record_ingestion(product)
            elif name in PLAYS:
                stage = Stage(product, provider)
                PLAYS[name](stage)
                asyncio.run(_store(product.state["temporal_address"], stage.thread, name))
            else:
                _record(product, name, KINDS[name])
    finally:
        product.stop()
        provider.stop()


_EDIT = call("memory_insert", label="human", new_string="x")
_SEARCH = call("conversation_search", query="nothing")
KINDS = {
    "answers": ["hello", "again"],
    "tools": [do(_EDIT, _SEARCH, say("done"))],
    "failure": [do({"fail": 500}), "after the failure"],
    "fallback": [do({"fail": 401, "only": MODEL} | say("by another")), "after it"],
    "max_steps": [do(_SEARCH)],
    "continued": [f"message {n}" for n in range(20)],
    "long_turn": [do(*[_SEARCH] * 90, say("done")), "after it"],
    "deleted": ["hello", "DELETE"],
    "parallel": [do(together(_SEARCH, _SEARCH, _EDIT, _SEARCH), say("done"))],
    "callback": ["hello"],
    "compacted": [f"{n} {'word ' * 150}" for n in range(9)],
    "embedding": ["a", "b"],
    "ingestion": ["a text"],
    "legacy": [do(_EDIT, say("done")), do(say("no call") | {"disobey": True}), "again"],
}


def _record(product: Product, name: str, texts: list[str]) -> None:
    client = product.client(max_retries=0)
    agent = client.agents.create(
        agent_type="memgpt_v2_agent" if name == "legacy" else "letta_v1_agent",
        model=HANDLE,
        memory_blocks=[{"label": "human", "value": ""}],
        model_settings=_settings(name),
        **_small_window(name),
    )
    ((conversation_id,),) = product.query(
        "SELECT id FROM conversations WHERE agent_id = %s", agent.id
    )
    for text in texts:
        if text == "DELETE":
            client.agents.delete(agent.id)
            continue
        try:
            client.agents.messages.create(
                agent.id, input=text, max_steps=3 if name == "max_steps" else 100
            )
        except APIStatusError:
            assert name in ("failure", "legacy")
    asyncio.run(_store(product.state["temporal_address"], conversation_id, name))


def _settings(name: str) -> Any:
    settings: dict[str, Any] = {
        "provider_type": "openai",
        "parallel_tool_calls": name == "parallel",
    }
    return settings | ({"fallback_models": [OTHER_HANDLE]} if name == "fallback" else {})


def _small_window(name: str) -> dict[str, Any]:
    """What makes an agent sum up its history soon, where that is to be recorded."""
    if name != "compacted":
        return {}
    settings = {"prompt": summing(say("They like tea."))}
    return {
        "system": "[window 2000]",
        "context_window_limit": 2_000,
        "include_base_tools": False,
        "extra_body": {"compaction_settings": settings},
    }


def _record_callback(product: Product) -> None:
    """A callback that is taken at the second try."""
    receiver = Receiver(lambda before: 503 if before == 0 else 200)
    client = product.client()
    agent = client.agents.create(model=HANDLE)
    (text,) = KINDS["callback"]
    run = client.agents.messages.create_async(
        agent.id, input=text, callback_url=receiver.url("/told")
    )
    receiver.await_calls("/told", 2)
    asyncio.run(_store(product.state["temporal_address"], f"callback-{run.id}", "callback"))
    receiver.stop()


def _record_embedding(product: Product) -> None:
    """An archive whose model fails, is left alone, and is changed before the pause is over."""
    with embedding_vendor(failures=[(503, {"retry-after": "60"})]) as vendor:
        api = httpx.Client(base_url=f"{product.url}/v1", timeout=60)
        body = {"name": "vendor", "provider_type": "openai", "api_key": "k"}
        api.post("/providers/", json=body | {"base_url": vendor.url})
        client = product.client()
        archive = client.archives.create(name="recorded", embedding="vendor/embed-1")
        progress = f"/archives/{archive.id}/embedding"
        client.archives.passages.create(archive.id, text=KINDS["embedding"][0])
        eventually(lambda: api.get(progress).json()["problem"], what="the failure")
        client.archives.passages.create(archive.id, text=KINDS["embedding"][1])
        api.post(f"/archives/{archive.id}/reembed", json={"embedding": "vendor/embed-2"})
        eventually(lambda: api.get(progress).json()["is_done"], what="the end")
        execution = f"embed-{archive.id}"
        asyncio.run(_store(product.state["temporal_address"], execution, "embedding"))


def _record_ingestion(product: Product) -> None:
    """A file that is read."""
    client = product.client()
    folder = client.folders.create(name="recorded")
    (text,) = KINDS["ingestion"]
    file = client.folders.files.upload(folder.id, file=("a.txt", text.encode(), "text/plain"))

    def is_read() -> bool:
        found = client.folders.files.retrieve(file.id, folder_id=folder.id)
        return found.processing_status == "completed"

    eventually(is_read, what="the end")
    asyncio.run(_store(product.state["temporal_address"], f"ingest-{file.id}", "ingestion"))


async def _store(address: str, workflow_id: str, name: str) -> None:
    client = await Client.connect(address)
    await asyncio.sleep(3)  # the last task's events, and the purge of a deleted agent
    executions = [e async for e in client.list_workflows(f"WorkflowId = '{workflow_id}'")]
    for n, execution in enumerate(sorted(executions, key=lambda e: e.start_time)):
        handle = client.get_workflow_handle(workflow_id, run_id=execution.run_id)
        history = json.loads((await handle.fetch_history()).to_json())
        file = HISTORIES / f"{name}-{n}.json"
        text = json.dumps({"id": workflow_id, "history": history}, separators=(",", ":"))
        file.write_text(text.replace(f"{REPOSITORY}/", "") + "\n")
        print(file.name, len(history["events"]), "events")  # noqa: T201


if __name__ == "__main__":
    main()
