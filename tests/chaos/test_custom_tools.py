"""Custom tools whose worker dies: what they do happens once at most, or the record says so."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.chaos.killing import KillableProduct, Sending, patient_client
from tests.support.product import eventually
from tests.support.provider import HANDLE, FakeProvider, call, do, say
from tests.support.receiver import Receiver

pytestmark = pytest.mark.chaos

CALLS, UNDER_WAY = 20, 8
SOURCE = '''
def post(url: str, n: int) -> str:
    """Post something.

    Args:
        url: Where to.
        n: What.
    """
    import json
    import urllib.request

    request = urllib.request.Request(url, json.dumps({"n": n}).encode(), method="POST")
    with urllib.request.urlopen(request) as answer:
        return f"posted {n}: {answer.status}"
'''


@pytest.fixture
def gate() -> threading.Event:
    """Until it is set, whoever posts waits for the answer."""
    return threading.Event()


@pytest.fixture
def receiver(gate: threading.Event) -> Iterator[Receiver]:
    def answer(before: int) -> int:
        gate.wait(30)
        return 200

    receiver = Receiver(answer)
    yield receiver
    gate.set()
    receiver.stop()


@pytest.fixture
def product(
    provider: FakeProvider, receiver: Receiver, tmp_path: Path
) -> Iterator[KillableProduct]:
    product = KillableProduct(tmp_path / "o", provider)
    address = receiver.url("").removeprefix("http://")
    product.env |= {"O_SANDBOX_ALLOW": address}
    product.start()
    yield product
    product.stop()


def test_no_tool_has_its_effect_twice_when_its_worker_dies(
    product: KillableProduct, receiver: Receiver, gate: threading.Event
) -> None:
    client = patient_client(product)
    tool = client.tools.upsert(source_code=SOURCE)
    sent: dict[int, Sending] = {}
    for n in range(CALLS):
        agent = client.agents.create(model=HANDLE, tool_ids=[str(tool.id)])
        text = do(call("post", url=receiver.url("/posted"), n=n), say("done"))
        sent[n] = Sending(product, agent, text)
    eventually(lambda: len(receiver.on("/posted")) >= UNDER_WAY, what="calls under way")
    workers = [name for name in product.state["processes"] if name.startswith("worker")]
    in_sandboxes = [
        child
        for name in workers
        for child in psutil.Process(product.pid_of(name)).children(recursive=True)
    ]
    assert len(in_sandboxes) >= UNDER_WAY
    for name in workers:
        product.kill(name)
    gate.set()
    posted = {}
    told_that_unsure = 0
    for n, sending in sent.items():
        reply = sending.reply()
        (returned,) = [m for m in reply.messages if m.message_type == "tool_return_message"]
        posted[n] = returned.status == "success"
        if not posted[n]:
            assert "may have run" in returned.tool_return, returned.tool_return
            told_that_unsure += 1
    effects = Counter(body["n"] for body in receiver.on("/posted"))
    assert max(effects.values()) == 1, effects
    assert all(effects[n] == 1 for n, is_posted in posted.items() if is_posted)
    assert told_that_unsure >= UNDER_WAY, "what was under way is not called again"
    eventually(
        lambda: not any(process.is_running() for process in in_sandboxes),
        within_s=60,
        what="the end of what ran in sandboxes",
    )
    # One for each worker that lives: those of the dead are cleared by whoever starts next.
    folders = product.data_dir / "egress"
    eventually(
        lambda: len(list(folders.glob("worker-*"))) <= len(workers),
        within_s=60,
        what="the end of the folders of dead workers",
    )


def test_what_a_tool_returned_is_kept_for_a_database_that_is_away(
    product: KillableProduct, receiver: Receiver, gate: threading.Event
) -> None:
    client = patient_client(product)
    tool = client.tools.upsert(source_code=SOURCE)
    agent = client.agents.create(model=HANDLE, tool_ids=[str(tool.id)])
    url = receiver.url("/posted")
    sending = Sending(product, agent, do(call("post", url=url, n=1), say("done")))
    eventually(lambda: len(receiver.on("/posted")) == 1, what="a call under way")
    product.kill("postgres")
    gate.set()
    returned = [m for m in sending.reply().messages if m.message_type == "tool_return_message"]
    assert [(m.status, m.tool_return) for m in returned] == [("success", "posted 1: 200")]
    assert len(receiver.on("/posted")) == 1
