"""An agent with a long life whose window nothing has compacted yet, as one that is imported."""

from letta_client import Letta
from letta_client.types import AgentState

from bench.history import fill
from tests.support.product import Product

_LIFE = 12_000


def test_the_first_turn_of_a_long_history_is_answered_and_makes_its_window_small(
    client: Letta, server: Product, agent: AgentState
) -> None:
    """Ten times this takes a worker longer to read than a heartbeat may be late."""
    fill(server, agent.id, _LIFE)
    full = client.agents.retrieve(agent.id).message_ids or []
    assert len(full) == 10_001, "the system message and the newest"
    answer = client.agents.messages.create(agent.id, input="hello")
    assert answer.stop_reason.stop_reason == "end_turn"
    assert answer.messages[-1].content == "You said: hello"
    run = client.runs.list(agent_id=agent.id).items[0]
    ((attempts,),) = server.query("SELECT attempts FROM steps WHERE run_id = %s", run.id)
    assert attempts == 1
    kept = client.agents.retrieve(agent.id).message_ids or []
    assert len(kept) < 6_000
    assert kept[-3] == full[-1], "the newest stay"
    everything = client.agents.messages.list(agent.id, limit=1_000, order="asc").items
    assert len(everything) == 1_000, "nothing is lost of what stands before it"
