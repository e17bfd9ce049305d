"""Whose turn is first among the open runs of a conversation; everybody goes by this one order."""


def turn_order(of: str) -> str:
    """The order as SQL: the run that has begun, else the answer to a request, else the oldest.

    Args:
        of: The name by which the statement knows the table `runs`.
    """
    return (
        f"{of}.status = 'running' DESC, {of}.approval_id IS NOT NULL DESC, {of}.created_at, {of}.id"
    )


def comes_before(one: str, other: str) -> str:
    """The same order between two rows, as SQL: whether `one` has its turn before `other`.

    Args:
        one: The name by which the statement knows `runs`.
        other: Another one.
    """
    place = "({0}.status <> 'running', {0}.approval_id IS NULL, {0}.created_at, {0}.id)"
    return f"{place.format(one)} < {place.format(other)}"
