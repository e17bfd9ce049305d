"""Who asks: every query is made for an actor and sees that actor's organization only."""

from dataclasses import dataclass

from o.ids import DEFAULT_ORGANIZATION_ID, DEFAULT_USER_ID


@dataclass(frozen=True)
class Actor:
    """A user in an organization.

    Attributes:
        key_id: The key of the API that the user asks with; None without one.
    """

    user_id: str = DEFAULT_USER_ID
    organization_id: str = DEFAULT_ORGANIZATION_ID
    key_id: str | None = None
