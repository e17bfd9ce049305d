"""Files that are opened while processes die: once, within the budget, and the turn goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.killing import KillableProduct, Sending, patient_client
from tests.support.product import eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, say

pytestmark = pytest.mark.chaos


@pytest.fixture
def product(provider: FakeProvider, tmp_path: Path) -> Iterator[KillableProduct]:
    product = KillableProduct(tmp_path / "o", provider)
    product.start()
    yield product
    product.stop()


@pytest.mark.parametrize(
    ("point", "process"),
    [("files-opened", "worker"), ("tool-committed-0", "worker"), ("files-opened", "postgres")],
)
def test_files_are_opened_once_and_seen_whoever_dies(
    product: KillableProduct, provider: FakeProvider, point: str, process: str
) -> None:
    client = patient_client(product)
    folder = client.folders.create(name=f"kills of {process} at {point}")
    files = [
        client.folders.files.upload(folder.id, file=(f"{n}.txt", b"text %d" % n, "text/plain")).id
        for n in range(3)
    ]
    eventually(lambda: product.query("SELECT count(*) FROM file_contents") == [(3,)])
    body = {"folder_ids": [folder.id], "max_files_open": 2}
    agent = client.agents.create(model=HANDLE, extra_body=body)
    asked = [{"file_name": f"{folder.name}/2.txt"}]
    turn = do(call("open_files", file_requests=asked), say("read"))
    with product.stopped_at(point) as reached:
        sending = Sending(product, agent, turn)
        product.kill_one(process, reached())
    answer = sending.reply(90)
    returned = [m for m in answer.messages if m.message_type == "tool_return_message"]
    assert [m.tool_return.splitlines()[0] for m in returned] == [
        f"* Opened {folder.name}/2.txt (1 lines)"
    ]
    held = {one.file_id for one in client.agents.files.list(agent.id, is_open=True)}
    assert held == {files[1], files[2]}
    assert "1: text 2" in str(provider.prompts[-1][0]["content"])
