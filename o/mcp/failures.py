"""What goes wrong with an MCP server, in words that name no address and hold no secret."""

from o.errors import Unavailable


class McpFailed(Exception):
    """A server could not be asked, or did not answer as it should.

    Attributes:
        message: What was wrong, for whoever asked.
        answered: Whether the server itself said no, so that nothing of the call was done.
    """

    def __init__(self, message: str, *, answered: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.answered = answered


class McpBusy(Unavailable):
    """As many calls to one server as may be under way at once are."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Every call to the MCP server {name} that may be made at once is made.")
