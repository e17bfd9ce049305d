"""An import that is killed at any moment, and run again, ends as one that was not."""

import os
import random
import signal
import subprocess
import time

import pytest

from tests.letta_v1.databases import all_rows, differences, move, new_o, start_move
from tests.letta_v1.rows import V1
from tests.letta_v1.said import everything_said
from tests.support.product import Product

_KILLS = 4

pytestmark = pytest.mark.chaos


def _everything(v1: V1) -> None:
    for said in everything_said(v1).values():
        block = v1.add("block", label=f"b-{said.conversation_id}", value="kept")
        v1.add("blocks_agents", agent_id=said.agent_id, block_id=block, block_label=block[-12:])
        v1.add("agents_tags", agent_id=said.agent_id, tag=block[-12:])


@pytest.mark.timeout(300)
def test_killed_at_random_moments_it_ends_as_if_it_never_was(v1: V1, server: Product) -> None:
    _everything(v1)
    drawn = random.Random(os.environ["O_KILL_SEED"])
    with new_o(server) as whole, new_o(server) as torn:
        began = time.monotonic()
        assert move(v1.url, whole)["status"] == 0
        took_s = time.monotonic() - began
        for _ in range(_KILLS):
            _move_and_kill(v1.url, torn, drawn.uniform(0.3, 1.0) * took_s)
        assert move(v1.url, torn)["status"] == 0
        assert differences(all_rows(whole), all_rows(torn)) == {}


def _move_and_kill(v1_url: str, o_url: str, after_s: float) -> None:
    """Begin, and send SIGKILL some time later, unless it has come to its end by then."""
    process = start_move(v1_url, o_url)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    process.communicate()
