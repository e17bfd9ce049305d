"""Many who change one folder at once: everybody is answered, and nobody waits in a ring."""

import random
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import httpx
import psutil
import pytest
from letta_client import Letta

from o.ids import new_id
from tests.support.product import Product, eventually
from tests.support.provider import HANDLE

MIB = 1024 * 1024
_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@pytest.mark.timeout(240)
def test_whoever_changes_a_folder_at_once_is_answered(server: Product, client: Letta) -> None:
    before = server.query(_DEADLOCKS)
    folder = client.folders.create(name=new_id("folder"))
    agents = [client.agents.create(model=HANDLE).id for _ in range(3)]
    codes: list[int] = []

    def act(number: int) -> None:
        chance = random.Random(number)
        with httpx.Client(base_url=f"{server.url}/v1", timeout=60) as http:
            path = f"/folders/{folder.id}"
            for _ in range(6):
                agent = f"/agents/{chance.choice(agents)}"
                body = (f"{chance.randrange(4)}.txt", b"kumquat " * 2_000, "text/plain")
                how = {"duplicate_handling": chance.choice(("suffix", "replace", "skip"))}
                done = chance.choice(
                    (
                        lambda: http.post(f"{path}/upload", files={"file": body}, params=how),  # noqa: B023
                        lambda: http.patch(path, json={"name": new_id("folder")}),
                        lambda: http.patch(f"{agent}/folders/attach/{folder.id}"),  # noqa: B023
                        lambda: http.patch(f"{agent}/folders/detach/{folder.id}"),  # noqa: B023
                        lambda: http.patch(agent, json={"folder_ids": [folder.id]}),  # noqa: B023
                        lambda: http.get(f"{path}/files"),
                        lambda: delete_one(http, path, chance),
                    )
                )()
                codes.append(done.status_code)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(act, range(8)))
    assert set(codes) <= {200, 204, 404}, codes
    held = client.folders.retrieve(folder.id)
    names = [str(file.file_name) for file in client.folders.files.list(folder.id)]
    assert len(set(names)) == len(names)
    assert all(name.startswith(f"{held.name}/") for name in names)
    with ThreadPoolExecutor(4) as pool:
        deleted = pool.submit(client.folders.delete, folder.id)
        list(pool.map(act, range(3)))
        deleted.result()
    eventually(
        lambda: not server.query("SELECT id FROM folders WHERE id = %s", folder.id),
        within_s=60,
        what="the purge of the folder",
    )
    assert server.query(_DEADLOCKS) == before


def delete_one(http: httpx.Client, path: str, chance: random.Random) -> httpx.Response:
    """Delete some file of the folder, if it has one."""
    listed = http.get(f"{path}/files")
    if listed.status_code != 200 or not listed.json():
        return listed
    return http.delete(f"{path}/{chance.choice(listed.json())['id']}")


def test_large_files_that_come_at_once_take_no_memory_of_the_server(
    server: Product, client: Letta
) -> None:
    folder: Any = client.folders.create(name=new_id("folder"))
    api = psutil.Process(server.pid_of("api"))

    def upload(number: int) -> Any:
        file = (f"{number}.txt", b"kumquat\n" * (5 * MIB), "text/plain")
        return client.folders.files.upload(folder.id, file=file)

    upload(0)
    before = api.memory_info().rss
    with ThreadPoolExecutor(4) as pool:
        uploads = [pool.submit(upload, number) for number in range(1, 5)]
        most = 0
        while wait(uploads, timeout=0.05).not_done:
            most = max(most, api.memory_info().rss)
    assert [one.result().file_size for one in uploads] == [40 * MIB] * 4
    assert most - before < 40 * MIB
    client.folders.delete(folder.id)
