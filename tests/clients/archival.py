"""Archives and passages, through whichever release of the official client is first on the path.

Run as a script: `archival.py <url of the server> <model handle>`. What was answered is
printed in JSON.
"""

import json
import sys
from datetime import UTC, datetime
from typing import Any

import letta_client
from letta_client import Letta, NotFoundError


def use(client: Letta, model: str) -> dict[str, Any]:
    """Ask for every operation once; what is answered is the same with every release."""
    agent = client.agents.create(model=model)
    archive = client.archives.create(name="notes", description="x", embedding="openai/none")
    renamed = client.archives.update(archive.id, name="renamed")
    client.agents.archives.attach(archive.id, agent_id=agent.id)
    client.archives.passages.create(archive.id, text="one", tags=["t"], metadata={"a": 1})
    passages: Any = [{"text": "two", "created_at": "2024-01-01T00:00:00Z"}, {"text": "three"}]
    _, third = client.archives.passages.create_many(archive.id, passages=passages)
    moment = datetime(2025, 1, 1, tzinfo=UTC)
    (kept,) = client.agents.passages.create(agent.id, text="four", created_at=moment)
    client.archives.passages.delete(str(third.id), archive_id=archive.id)
    listed = client.agents.passages.list(agent.id, limit=2)
    client.agents.passages.delete(str(kept.id), agent_id=agent.id)
    left = client.agents.passages.list(agent.id, ascending=False)
    client.agents.archives.detach(archive.id, agent_id=agent.id)
    told: dict[str, Any] = {
        "renamed": (renamed.name, renamed.description, client.archives.retrieve(archive.id).name),
        "found": client.archives.list(name="renamed", limit=1).items[0].id == archive.id,
        "listed": [[p.text, p.tags, p.metadata] for p in listed],
        "left": [p.text for p in left],
        "detached": len(client.agents.passages.list(agent.id)),
    }
    client.archives.delete(archive.id)
    try:
        client.archives.retrieve(archive.id)
    except NotFoundError as error:
        told["deleted"] = error.status_code
    return told


if __name__ == "__main__":
    client = Letta(base_url=sys.argv[1], api_key="unused", max_retries=0)
    told = use(client, sys.argv[2])
    json.dump({"release": letta_client.__version__, "told": told}, sys.stdout)
