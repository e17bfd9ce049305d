"""Who asks: every query is made for an actor and sees that actor's organisation only."""

from dataclasses import dataclass

from o.ids import DEFAULT_ORGANIZATION_ID, DEFAULT_USER_ID


@dataclass(frozen=True)
class Actor:
    """A user in an organisation."""

    user_id: str = DEFAULT_USER_ID
    organization_id: str = DEFAULT_ORGANIZATION_ID
