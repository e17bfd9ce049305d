"""The errors that O raises on purpose; `api.errors` and `activities.errors` translate them."""

from enum import StrEnum

MAX_MESSAGE_CHARS = 8_000


class OError(Exception):
    """An expected failure whose message tells the reader what to do. Holds no secrets."""

    status = 500
    retryable = False

    def __init__(self, message: str) -> None:
        super().__init__(message[:MAX_MESSAGE_CHARS])

    @property
    def message(self) -> str:
        """The text that a person reads, at most 8,000 characters."""
        return str(self.args[0])


class InvalidArgument(OError):
    """A well-formed request that asks for something that cannot be."""

    status = 400


class KeyShut(OError):
    """The key that a request came with opens nothing any more."""

    status = 401


class NotFound(OError):
    """Nothing by that id belongs to this actor."""

    status = 404


class Conflict(OError):
    """The state of things does not allow it now."""

    status = 409


class ConversationBusy(Conflict):
    """The conversation takes no message now. `run_id` is the run that is in the way."""

    def __init__(self, run_id: str | None) -> None:
        super().__init__(
            "CONFLICT: Cannot send a new message: Another request is currently being processed "
            f"for this conversation (run_id={run_id}). Wait until it is finished, or cancel it."
        )
        self.run_id = run_id


class ApprovalPending(Conflict):
    """The conversation waits for an answer to an approval request.

    Attributes:
        request_id: The message that asks.
        run_id: The run that ended with it.
    """

    def __init__(self, request_id: str, run_id: str) -> None:
        super().__init__(
            "CONFLICT: Cannot send a new message: The agent is waiting for approval on a tool "
            "call. Answer the approval request, or cancel it."
        )
        self.request_id = request_id
        self.run_id = run_id


class Gone(OError):
    """It was there, and was removed for its age."""

    status = 410


class Outdated(OError):
    """The change was made for a version that is no longer the newest (`If-Match`)."""

    status = 412


class TooLarge(OError):
    """More than is taken."""

    status = 413


class UnknownType(OError):
    """A file of a kind of which nothing can be made."""

    status = 415


class InvalidInput(OError):
    """A request body that breaks its schema."""

    status = 422


class TooMany(OError):
    """As many as one may have are there; `retry_after_s` is when to ask again, in seconds."""

    status = 429

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotBuilt(OError):
    """What is asked for is not done here, whoever asks and whenever."""

    status = 501


class Unavailable(OError):
    """A part that the request needs is down; asking again later may work.

    `retry_after_s` is when, in seconds; None where nobody knows.
    """

    status = 503
    retryable = True

    def __init__(self, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unreadable(OError):
    """A row that is stored and cannot be read: what is in it is deeper than readers go, say.

    `row_id` is its id. Lists leave such a row out; asked for by itself, it is this error.
    """

    def __init__(self, kind: str, row_id: str) -> None:
        super().__init__(f"{kind} {row_id} is stored, and cannot be read")
        self.row_id = row_id


class ProviderFull(Unavailable):
    """As many model calls as this process makes to one provider at once are under way."""

    def __init__(self, provider: str) -> None:
        super().__init__(f"Every call to the provider {provider} that may be made at once is made.")


class ProviderRests(Unavailable):
    """Nobody asks the provider now, because many runs found it busy or away.

    `wait_s` is how long its rest may last, in seconds.
    """

    def __init__(self, provider: str, wait_s: float) -> None:
        super().__init__(f"The provider {provider} is left alone for a while.")
        self.wait_s = wait_s


class McpFailed(OError):
    """An MCP server could not be asked, or did not answer as it should.

    Attributes:
        answered: Whether the server itself said no, so that nothing of what was asked was done.
    """

    status = 502

    def __init__(self, message: str, *, answered: bool = False) -> None:
        super().__init__(message)
        self.answered = answered


class McpUnauthorized(McpFailed):
    """The server wants to know who asks (401), and says how that is shown: by OAuth, as a rule."""

    def __init__(self, message: str) -> None:
        super().__init__(message, answered=True)


class ToolFailed(OError):
    """A tool call went wrong; the text is what the model reads as the tool's return."""


class Failure(StrEnum):
    """What was wrong with a model call. `workflows.options` says what follows from each."""

    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    UNREACHABLE = "unreachable"
    """Not reached, or the answer broke off."""
    TIMEOUT = "timeout"
    GARBLED = "garbled"
    """The model wrote a tool call that its provider could not read; the next may be better."""
    EMPTY = "empty"
    """Neither text nor a tool call."""
    AUTHENTICATION = "authentication"
    FORBIDDEN = "forbidden"
    NO_CREDIT = "no_credit"
    NOT_FOUND = "not_found"
    """The provider, or the model there."""
    CONTEXT_WINDOW = "context_window"
    CONTENT_FILTER = "content_filter"
    BAD_REQUEST = "bad_request"
    UNUSABLE = "unusable"
    """An answer that cannot be taken, and would come again alike."""


SYSTEM_PROMPT_OVERFLOW = "context_window_overflow_in_system_prompt"
"""V1's error type, and stop reason, where no history is left that could make room."""


class ModelError(OError):
    """A language model did not give a usable reply.

    Attributes:
        kind: V1's `error_type`, such as `llm_rate_limit`.
        detail: What the provider said, cut.
        status: The HTTP status that V1 answers for this kind.
        retryable: Whether the same request may succeed a little later.
        retry_after_s: Seconds that the provider asked to wait, None when it did not say.
        failure: What was wrong; not said, it follows from `retryable`.
        answered: The HTTP status of the provider's answer, 0 where it did not give any.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        detail: str = "",
        status: int = 500,
        retryable: bool = False,
        retry_after_s: float | None = None,
        failure: Failure | None = None,
        answered: int = 0,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.answered = answered
        self.detail = detail[:MAX_MESSAGE_CHARS]
        self.status = status
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.failure = failure or (Failure.SERVER_ERROR if retryable else Failure.UNUSABLE)
