"""Archives and passages: what V1 found is found, by words and by the vectors that came along."""

from typing import Any

import pytest
from letta_client import Letta

from tests.letta_v1.moving import Import, line, news
from tests.letta_v1.rows import EMBEDDING, V1
from tests.support.product import Product, eventually
from tests.support.provider import EMBEDDING_HANDLE

DIMENSIONS = 1_536
SCRIPTED = EMBEDDING | {"handle": EMBEDDING_HANDLE, "embedding_dim": 3}


def one_hot(place: int) -> list[float]:
    return [1.0 if n == place else 0.0 for n in range(DIMENSIONS)]


def vectors_of(server: Product, archive_id: str) -> dict[str, tuple[str, int]]:
    """Of each passage that searches find by its vector: the space's handle and dimension."""
    rows = server.query(
        "SELECT p.passage_id, s.handle, s.dimension, vector_dims(p.embedding) "
        "FROM passage_vectors p JOIN vector_spaces s ON s.id = p.space_id "
        "JOIN archives a ON a.id = p.archive_id AND a.space_id = s.id WHERE p.archive_id = %s",
        archive_id,
    )
    assert all(dimension == length for _, _, dimension, length in rows)
    return {row[0]: (row[1], row[2]) for row in rows}


def waiting(server: Product, archive_id: str) -> set[str]:
    found = "SELECT passage_id FROM passages_to_embed WHERE archive_id = %s"
    return {row[0] for row in server.query(found, archive_id)}


def test_passages_come_with_their_vectors_and_wait_for_nothing(
    v1: V1, moved: Import, server: Product
) -> None:
    archive = v1.add("archives", name="of vectors")
    ids = {
        v1.add_passage(archive, f"passage {n}", one_hot(n), tags=["zoo", f"n{n}"]) for n in range(3)
    }
    result = moved()
    assert (news(result, "archival_passages"), news(result, "passage_tags")) == (3, 6)
    expected = (EMBEDDING["handle"], DIMENSIONS)
    assert vectors_of(server, archive) == dict.fromkeys(ids, expected)
    assert waiting(server, archive) == set()


def test_what_v1_found_by_meaning_and_by_words_is_found(
    v1: V1, moved: Import, client: Letta
) -> None:
    archive = v1.add("archives", name="searched", embedding_config=SCRIPTED)
    agent = v1.add_agent("librarian")
    v1.add("archives_agents", agent_id=agent, archive_id=archive)
    texts = {"near": [9.0, 0.5, 0.0], "far": [0.0, 0.0, 1.0], "between": [1.0, 0.0, 1.0]}
    for text, vector in texts.items():
        v1.add_passage(
            archive, f"A text that is {text}.", vector, tags=[text], embedding_config=SCRIPTED
        )
    moved()
    # The scripted model's vector of a query is its length, 0.5 and next to nothing.
    found = client.passages.search(
        archive_id=archive, query="of any words at all", extra_body={"search_mode": "vector"}
    )
    assert [one.passage.text.split()[-1] for one in found] == ["near.", "between.", "far."]
    assert [one.passage.tags for one in found] == [["near"], ["between"], ["far"]]
    by_words: Any = client.agents.passages.search(agent, query="between")
    assert "between" in by_words.results[0].content


@pytest.mark.parametrize("kind", ["letta", "none", "zeros", "broken", "other"])
def test_vectors_that_no_search_here_can_use_are_made_anew(
    v1: V1, moved: Import, server: Product, kind: str
) -> None:
    configs = {
        "letta": SCRIPTED | {"handle": "letta/letta-free"},
        "other": SCRIPTED | {"handle": "openai/another"},
        "broken": SCRIPTED | {"embedding_dim": 2},
    }
    config = None if kind == "none" else configs.get(kind, SCRIPTED)
    archive = v1.add(
        "archives", name=kind, embedding_config=SCRIPTED if kind == "other" else config
    )
    vector = {"none": [], "zeros": [0.0] * 3}.get(kind, [1.0, 2.0, 3.0])
    columns = {} if kind == "none" else {"embedding_config": config}
    passage = v1.add_passage(archive, f"Of {kind} vectors.", vector, **columns)
    moved()
    if kind in ("letta", "none"):  # nothing embeds for archives that name no model, in tests
        assert vectors_of(server, archive) == {}
        assert waiting(server, archive) == {passage}
        return
    made = eventually(lambda: vectors_of(server, archive), what="a vector")
    assert made == {passage: (EMBEDDING_HANDLE, 3)}


def test_models_of_any_length_stand_beside_one_another(
    v1: V1, moved: Import, server: Product
) -> None:
    archives = {}
    for dimension in (64, 3_072, 4_096):
        config = EMBEDDING | {"handle": f"openai/of-{dimension}", "embedding_dim": dimension}
        archive = v1.add("archives", name=str(dimension), embedding_config=config)
        vector = [0.5] * dimension
        v1.add_passage(archive, "one text", vector, embedding_config=config)
        archives[archive] = dimension
    moved()
    for archive, dimension in archives.items():
        ((_, found),) = vectors_of(server, archive).values()
        assert found == dimension


def test_tags_are_those_of_the_passage_in_its_order(v1: V1, moved: Import, client: Letta) -> None:
    archive = v1.add("archives", name="of tags", embedding_config=None)
    agent = v1.add_agent("of tags")
    v1.add("archives_agents", agent_id=agent, archive_id=archive)
    kept = v1.add_passage(archive, "a", [], tags=["z", "a", "m"])
    linked = v1.add_passage(archive, "b", [], tags=None)
    v1.add("passage_tags", tag="only linked", passage_id=linked, archive_id=archive)
    v1.add_passage(archive, "c", [], tags=["x" * 300, "short"])
    result = moved()
    shown: dict[Any, Any] = {one.id: one for one in client.agents.passages.list(agent)}
    assert (shown[kept].tags, shown[linked].tags) == (["z", "a", "m"], ["only linked"])
    assert sum(line(result, "passage_tags")["left"].values()) == 1
    assert line(result, "passage_tags")["unexplained"] == 0


def test_passages_of_nothing_that_is_here_are_left_out(v1: V1, moved: Import) -> None:
    archive = v1.add("archives", name="gone", is_deleted=True)
    v1.add_passage(archive, "of a flagged archive", [], tags=["x"])
    kept = v1.add("archives", name="kept")
    v1.add_passage(kept, "flagged itself", [], is_deleted=True)
    v1.add("archives_agents", agent_id="agent-gone", archive_id=kept)
    result = moved()
    for table in ("archives", "archival_passages", "archives_agents", "passage_tags"):
        assert line(result, table)["unexplained"] == 0
    assert news(result, "archival_passages") == 0
    assert news(result, "archives") == 1


def test_a_passage_that_was_changed_there_is_counted_and_tagged_once(
    v1: V1, moved: Import, server: Product
) -> None:
    archive = v1.add("archives", name="of changes")
    passage = v1.add_passage(archive, "before", one_hot(1), tags=["old"])
    moved()
    v1.query(
        "UPDATE archival_passages SET text = 'after', tags = '[\"new\"]' WHERE id = %s", passage
    )
    v1.query("UPDATE passage_tags SET tag = 'new'")
    result = moved()
    assert line(result, "archival_passages")["fates"] == {"updated": 1}
    row = server.query("SELECT passage_count FROM archives WHERE id = %s", archive)
    tags = server.query(
        "SELECT tag, passage_count FROM archive_tags WHERE archive_id = %s", archive
    )
    assert (row, tags) == ([(1,)], [("new", 1)])
    assert set(vectors_of(server, archive)) == {passage}
    assert waiting(server, archive) == set()
