"""`python -m tests.letta_v1.check DUMP MANIFEST`: moves a real V1 database in, and looks at it.

The dump is SQL, plain or gzipped; the manifest says what is in it: counts by table, every agent
with digests of the ids that stood in its context, the encryption key. Prints the table of the
import, what is not as the manifest says, and who did not answer the next message.
"""

import argparse
import gzip
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from letta_client import APIStatusError, Letta

from server.up.embedded_postgres import find_binaries
from tests.letta_v1.databases import all_rows, differences, move, new_database, new_o, start_move
from tests.letta_v1.moving import command
from tests.support.product import REPOSITORY, Product
from tests.support.provider import HANDLE, FakeProvider


def main() -> int:
    """Restore, move, look, speak; 0 when nothing was found wrong that the import did not tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.letta_v1.check", description=__doc__)
    parser.add_argument("dump", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--kills", type=int, default=5, help="how often an import is killed [5]")
    options = parser.parse_args()
    manifest = json.loads(options.manifest.read_text())
    provider = FakeProvider()
    provider.start()
    with tempfile.TemporaryDirectory(prefix="o-check-") as folder:
        env = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": provider.url}
        product = Product(Path(folder) / "o", env)
        product.start()
        try:
            with new_database(product, "v1") as v1_url:
                _restore(v1_url, options.dump)
                faults = _check(product, provider, v1_url, manifest, options.kills)
        finally:
            product.stop()
            provider.stop()
    print("\n".join(faults) or "nothing is wrong")
    return 1 if faults else 0


def _check(
    product: Product, provider: FakeProvider, v1_url: str, manifest: dict[str, Any], kills: int
) -> list[str]:
    faults = _counts(v1_url, product, manifest)
    faults += _windows(product.client(), manifest["agents"])
    faults += _next_messages(product.client(max_retries=0), provider, manifest["agents"])
    return faults + _killed(v1_url, product, manifest["encryption_key"], kills)


def _restore(url: str, dump: Path) -> None:
    psql = [str(find_binaries() / "psql"), "-q", "-v", "ON_ERROR_STOP=1", "-d", url]
    opened = gzip.open if dump.suffix == ".gz" else open
    with opened(dump, "rb") as source, tempfile.TemporaryFile() as plain:
        shutil.copyfileobj(source, plain)
        plain.seek(0)
        subprocess.run(psql, stdin=plain, stdout=subprocess.DEVNULL, check=True)


def _counts(v1_url: str, product: Product, manifest: dict[str, Any]) -> list[str]:
    env = product.env | {"O_LETTA_ENCRYPTION_KEY": manifest["encryption_key"]}
    line = [one for one in command(product, v1_url) if one != "--json"]
    done = subprocess.run(
        line, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False
    )
    print(done.stdout)
    again = subprocess.run(
        command(product, v1_url),
        cwd=REPOSITORY,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    faults = [] if done.returncode == 0 else [f"the import failed: {done.stderr[-500:]}"]
    for found in json.loads(again.stdout)["tables"]:
        table, there = found["table"], manifest["counts"].get(found["table"])
        if there is not None and there != found["there"]:
            faults.append(f"{table}: {there} in the manifest, {found['there']} there")
        left = sum(found["left"].values())
        if found["here"] is not None and found["here"] + left != found["there"]:
            faults.append(f"{table}: {found}")
        if set(found["fates"]) - {"unchanged"}:
            faults.append(f"{table}: the second run did something: {found['fates']}")
    return faults


def _windows(client: Letta, agents: Sequence[dict[str, Any]]) -> list[str]:
    """Whose window is not what V1 had in context; parallel returns and merged replies differ."""
    faults = []
    for agent in agents:
        if agent["is_deleted"]:
            continue
        own = _for(client, agent)
        shown = list(own.agents.retrieve(agent["id"]).message_ids or [])
        if _sha(shown) != agent["in_context_sha256"]:
            faults.append(
                f"window of {agent['name']}: {len(shown)} messages, {agent['in_context']} in V1"
                + (" (clears its buffer)" if agent["message_buffer_autoclear"] else "")
            )
        for one in agent["conversations"]:
            if not one["is_deleted"]:
                found = own.conversations.retrieve(one["id"]).in_context_message_ids or []
                if _sha(found) != one["in_context_sha256"]:
                    faults.append(f"window of {one['id']}: {len(found)}, {one['in_context']} in V1")
    return faults


def _for(client: Letta, agent: dict[str, Any]) -> Letta:
    """The client as a user of the agent's organization."""
    return client.with_options(default_headers={"user_id": agent["created_by"]})


def _next_messages(
    client: Letta, provider: FakeProvider, agents: Sequence[dict[str, Any]]
) -> list[str]:
    faults = []
    for agent in agents:
        if agent["is_deleted"]:
            continue
        provider.problems.clear()
        said = _speak(_for(client, agent), agent["id"])
        if said is not None or provider.problems:
            faults.append(f"next message of {agent['name']}: {said} {provider.problems[:2]}")
    return faults


def _speak(client: Letta, agent_id: str) -> str | None:
    """What was wrong with the next message; None for nothing. What waits is denied first."""
    try:
        _deny(client, agent_id)
        reply = client.agents.messages.create(agent_id, input="hello", override_model=HANDLE)
    except APIStatusError as error:
        return f"{error.status_code} {str(error)[:200]}"
    return None if reply.messages else "no answer"


def _deny(client: Letta, agent_id: str) -> None:
    """Deny what an agent waits for in its own thread; it may wait in a conversation as well."""
    shown = client.agents.retrieve(agent_id, include=["agent.pending_approval"])
    request = shown.pending_approval
    if request is None or request.id not in (shown.message_ids or []):
        return
    calls = [call.tool_call_id for call in request.tool_calls or []]
    denials: list[Any] = [
        {"type": "approval", "tool_call_id": one, "approve": False} for one in calls
    ]
    client.agents.messages.create(
        agent_id, messages=[{"type": "approval", "approvals": denials}], override_model=HANDLE
    )


def _killed(v1_url: str, product: Product, key: str, kills: int) -> list[str]:
    drawn = random.Random(1)
    with new_o(product) as whole, new_o(product) as torn:
        move(v1_url, whole, key=key)
        for _ in range(kills):
            process = start_move(v1_url, torn, key=key)
            try:
                process.wait(drawn.uniform(1, 10))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            process.communicate()
        move(v1_url, torn, key=key)
        found = differences(all_rows(whole), all_rows(torn))
    return [f"killed {kills} times, and not the same: {found}"] if found else []


def _sha(ids: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
