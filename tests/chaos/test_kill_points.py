"""Any process killed at any point costs nothing."""

from collections.abc import Iterator

import pytest

from tests.chaos.embedding import (
    archive_with_passages,
    asked_at_most,
    await_vectors,
    maker_of,
    post,
)
from tests.chaos.ingestion import await_passages, uploading
from tests.chaos.killing import KillableProduct, assert_next_message_is_accepted, roles_of
from tests.chaos.matrix import (
    MODEL_AT_STAKE,
    OTHERS,
    PROCESSES,
    cells,
    point_of,
    sample,
    scenario_of,
    whole_only,
)
from tests.chaos.scenarios import Scenario, begun
from tests.support.embedding_vendor import embedding_vendor
from tests.support.product import is_alive
from tests.support.provider import FakeProvider, last_user_text

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def product(
    provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KillableProduct]:
    """One for all cells: each has an agent of its own, and a death leaves nothing behind."""
    product = KillableProduct(tmp_path_factory.mktemp("chaos") / "o", provider)
    product.start()
    yield product
    product.stop()


@pytest.mark.parametrize(
    ("case", "process"), [pytest.param(*cell, id="-".join(cell)) for cell in cells()]
)
def test_a_kill_costs_nothing(
    product: KillableProduct, provider: FakeProvider, case: str, process: str
) -> None:
    prompts_before, problems_before = len(provider.prompts), len(provider.problems)
    point = point_of(case)
    scenario = scenario_of(case)(product)
    with product.stopped_at(point) as reached, begun(scenario):
        stopped_pid = reached()
        killed = product.kill_one(process, stopped_pid)
        assert not is_alive(killed)
    scenario.check(process)
    assert roles_of(product, scenario.agent) == scenario.roles
    _assert_prompts(scenario, provider.prompts[prompts_before:], point)
    assert_next_message_is_accepted(product, scenario.agent)
    assert roles_of(product, scenario.agent) == (*scenario.roles, "user", "assistant")
    assert provider.problems[problems_before:] == []


@pytest.mark.parametrize(
    ("point", "process"),
    [
        ("embedding-unstarted", "api"),
        ("vectors-uncommitted", "worker"),
        *whole_only(("vectors-made", "worker"), ("vectors-kept", "worker")),
        *whole_only(("vectors-made", "temporal"), ("vectors-uncommitted", "postgres")),
    ],
)
def test_a_kill_costs_no_passage_its_vector(
    product: KillableProduct, point: str, process: str
) -> None:
    with embedding_vendor() as vendor:
        embedding = f"{maker_of(product, vendor)}/embed-1"
        with product.stopped_at(point) as reached:
            archive_id = archive_with_passages(product, embedding)
            product.kill_one(process, reached())
        await_vectors(product, archive_id, embedding)
        asked_at_most(vendor, 2)


@pytest.mark.parametrize(
    ("point", "process"),
    [
        ("passages-found", "worker"),
        ("space-unswitched", "worker"),
        *whole_only(("vectors-uncommitted", "worker"), ("vectors-dropped", "worker")),
        *whole_only(("space-unswitched", "postgres"), ("passages-found", "supervisor")),
    ],
)
def test_a_kill_while_an_archive_is_embedded_anew_costs_nothing(
    product: KillableProduct, point: str, process: str
) -> None:
    with embedding_vendor() as vendor:
        maker = maker_of(product, vendor)
        archive_id = archive_with_passages(product, f"{maker}/embed-1")
        await_vectors(product, archive_id, f"{maker}/embed-1")
        vendor.asked.clear()
        vendor.dimension = 5
        with product.stopped_at(point) as reached:
            body = {"embedding": f"{maker}/embed-2"}
            assert post(product, f"/archives/{archive_id}/reembed", body)
            product.kill_one(process, reached())
        await_vectors(product, archive_id, f"{maker}/embed-2")
        asked_at_most(vendor, 2)


@pytest.mark.parametrize(
    ("point", "process"),
    [
        ("ingestion-unstarted", "api"),
        ("file-taken", "worker"),
        ("passages-uncommitted", "worker"),
        ("file-uncompleted", "worker"),
        ("file-read", "temporal"),
        *whole_only(("file-read", "worker"), ("content-uncommitted", "worker")),
        *whole_only(("file-unsettled", "worker"), ("file-completed", "worker")),
        *whole_only(("passages-uncommitted", "postgres"), ("file-uncompleted", "supervisor")),
        *whole_only(("file-taken", "temporal"), ("file-taken", "api")),
    ],
)
def test_a_kill_costs_no_file_a_passage_and_doubles_none(
    product: KillableProduct, point: str, process: str
) -> None:
    with product.stopped_at(point) as reached, uploading(product) as file_id:
        product.kill_one(process, reached())
    await_passages(product, file_id())


def _assert_prompts(scenario: Scenario, prompts: list[list[dict[str, object]]], point: str) -> None:
    """The model was asked as often as it had to be, with the history as it was each time."""
    own = [prompt for prompt in prompts if last_user_text(prompt) == scenario.text]
    repeated = 1 if point in MODEL_AT_STAKE else 0
    assert scenario.requests <= len(own) <= scenario.requests + repeated
    shown = scenario.prompt or tuple(role for role in scenario.roles if role != "approval")
    for prompt in own:
        assert tuple(message["role"] for message in prompt) == shown[: len(prompt)]


def test_a_sample_is_the_same_for_the_same_seed_and_has_every_process_in_it() -> None:
    assert sample(7) == sample(7)
    for seed in range(20):
        chosen = sample(seed)
        assert {process for _, process in chosen} == set(PROCESSES)
        assert len({case for case, _ in chosen}) == len(chosen)
    assert {case for seed in range(20) for case, _ in sample(seed)} == set(OTHERS)
