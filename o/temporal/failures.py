"""What logs say of a call that failed."""

from temporalio.service import RPCError, RPCStatusCode

_MOST_CHARS = 300


def facts_of(error: BaseException) -> dict[str, str]:
    """The kind of a failure; of a call of Temporal, its status and what Temporal said as well.

    Of words on a request that is invalid, what follows a colon is left out: it may be a value that
    a user gave.
    """
    facts = {"error": type(error).__name__}
    if isinstance(error, RPCError):
        words = error.message[:_MOST_CHARS]
        if error.status is RPCStatusCode.INVALID_ARGUMENT:
            words = words.partition(":")[0]
        facts |= {"status": error.status.name, "reason": words}
    return facts
