"""Vectors of V1, put into the spaces in which searches here find them.

A vector is taken where its archive is searched by the model that made it. All others are made anew
by what makes them for every passage: so it is where V1 had none, where its model was one of Letta's
own service, and where it names another model than its archive.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from o.letta.vectors import true_vector
from server.letta_import.kind import Context
from server.letta_import.kinds.archives import handle_of
from server.letta_import.kinds.sealing import object_in
from server.letta_import.source import Row
from server.letta_import.target import Target

_AT_ONCE = 100  # each is up to 60 kB of text
_LETTAS_OWN = "letta/"
_SPACE = """
    INSERT INTO vector_spaces (organization_id, handle, dimension)
    SELECT organization_id, %(handle)s, %(dimension)s FROM archives WHERE id = %(id)s
    ON CONFLICT (organization_id, handle, dimension) DO UPDATE SET handle = excluded.handle
    RETURNING id
"""
_ARCHIVES = """
    SELECT t.id, t.embedding, t.space_id, t.next_space_id, s.handle, s.dimension
    FROM archives AS t LEFT JOIN vector_spaces AS s ON s.id = t.space_id
    WHERE t.id = ANY(%(ids)s) ORDER BY t.id FOR NO KEY UPDATE OF t
"""
_USE = """
    UPDATE archives SET space_id = %(space)s, embedding = coalesce(embedding, %(handle)s)
    WHERE id = %(id)s
"""
_DONE = "DELETE FROM passages_to_embed WHERE passage_id = ANY(%(ids)s)"


def keep_vectors(
    context: Context, table: str, archive_of: Mapping[str, str], *, archives: Iterable[str]
) -> None:
    """Keep the vectors of passages that have just been stored, and that wait for theirs.

    Args:
        context: The two databases.
        table: V1's table with the vectors.
        archive_of: The archive of each passage, by the passage's id.
        archives: All of these archives.
    """
    spaces = _Spaces(context.target, list(archives))
    ids = list(archive_of)
    for start in range(0, len(ids), _AT_ONCE):
        rows = context.source.all(
            f"SELECT id, embedding::text AS vector, embedding_config FROM {table} "
            "WHERE id = ANY(%(ids)s) AND embedding IS NOT NULL ORDER BY id",
            {"ids": ids[start : start + _AT_ONCE]},
        )
        kept = [one for row in rows if (one := _vector(row, archive_of[row["id"]], spaces))]
        context.target.upsert("passage_vectors", kept)
        context.target.query(_DONE, {"ids": [one["passage_id"] for one in kept]})


def _vector(row: Row, archive_id: str, spaces: "_Spaces") -> dict[str, Any] | None:
    handle = handle_of(row["embedding_config"])
    dimension = object_in(row["embedding_config"]).get("embedding_dim")
    if handle is None or handle.startswith(_LETTAS_OWN) or not isinstance(dimension, int):
        return None
    vector = true_vector(row["vector"], dimension)
    if vector is None:
        return None
    space = spaces.of(archive_id, handle, dimension)
    if space is None:
        return None
    return {
        "passage_id": row["id"],
        "space_id": space,
        "archive_id": archive_id,
        "embedding": vector,
    }


class _Spaces:
    """The spaces of some archives, which are locked until the transaction ends."""

    def __init__(self, target: Target, archive_ids: Sequence[str]) -> None:
        self._target = target
        self._archives = {
            row["id"]: row for row in target.query(_ARCHIVES, {"ids": list(archive_ids)})
        }

    def of(self, archive_id: str, handle: str, dimension: int) -> int | None:
        """Where a vector of this model belongs; None where the archive is searched otherwise."""
        archive = self._archives.get(archive_id)
        if archive is None or archive["next_space_id"] is not None:
            return None
        if archive["space_id"] is None and archive["embedding"] in (None, handle):
            self._take(archive, handle, dimension)
        is_it = (archive["handle"], archive["dimension"]) == (handle, dimension)
        return int(archive["space_id"]) if is_it else None

    def _take(self, archive: dict[str, Any], handle: str, dimension: int) -> None:
        given = {"id": archive["id"], "handle": handle, "dimension": dimension}
        space = self._target.count(_SPACE, given)
        self._target.query(_USE, {"space": space, **given})
        archive.update(space_id=space, handle=handle, dimension=dimension)
        archive["embedding"] = archive["embedding"] or handle
