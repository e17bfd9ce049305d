"""Vectors as V1 stored them: 4,096 numbers, of which the first ones are the model's."""

_ZERO = {"0", "-0"}


def true_vector(stored: str, dimension: object) -> str | None:
    """A vector cut to what its model made; None where it is not what it should be.

    Args:
        stored: As pgvector writes it: `[0.1,0.2,0,…]`. The numbers stay as they are written.
        dimension: What `embedding_config.embedding_dim` says of it.

    Returns:
        None if the dimension is none, if numbers behind it are not zero, or all before it are: a
        vector without a direction is near nothing.
    """
    if not isinstance(dimension, int) or isinstance(dimension, bool):
        return None
    numbers = stored.strip().removeprefix("[").removesuffix("]").split(",")
    if not 0 < dimension <= len(numbers) or not _ZERO.issuperset(numbers[dimension:]):
        return None
    kept = numbers[:dimension]
    return None if _ZERO.issuperset(kept) else f"[{','.join(kept)}]"
