"""Whose turn is first among the open runs of a conversation; everybody goes by this one order."""


def turn_order(of: str) -> str:
    """The order as SQL: the run that has begun, else the answer to a request, else the oldest.

    Args:
        of: The name by which the statement knows the table `runs`.
    """
    return (
        f"{of}.status = 'running' DESC, {of}.approval_id IS NOT NULL DESC, {of}.created_at, {of}.id"
    )
