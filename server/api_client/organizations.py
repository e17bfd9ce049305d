"""Whose things a command sees through the API: one organization's at a time, by V1's `user_id`.

The server's token, or a server without one, opens all organizations, but each request is some
user's and sees the organization of that user alone. Whoever wants all asks as one user of each.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from o.errors import NotFound
from server.api_client.source import Refused, Source


@dataclass(frozen=True)
class Organization:
    """One that the caller may see.

    Attributes:
        source: The API, asked as a user of it.
        about: Its id and name as the API shows them; empty where the caller is not told.
    """

    source: Source
    about: Mapping[str, Any]


def organizations_of(source: Source, user_id: str | None) -> tuple[list[Organization], list[str]]:
    """All that the caller may see, the oldest first; with `user_id`, that of this user alone.

    A key that is no administrator's sees its own one, and is not told more.

    Returns:
        The organizations, and the names of those that have no user to ask as.

    Raises:
        NotFound: There is no such user.
        Refused: The key may not ask as another user.
    """
    try:
        users = [one for page in source.pages("admin/users/") for one in page]
    except Refused:
        if user_id is not None:
            raise
        return [Organization(source, {})], []
    if user_id is not None:
        users = [one for one in users if one["id"] == user_id]
        if not users:
            raise NotFound(f"there is no user {user_id}: GET /v1/admin/users/ lists them")
    first = {one["organization_id"]: one["id"] for one in reversed(users)}
    shown = [one for page in source.pages("admin/orgs/") for one in page]
    found = [
        Organization(source.as_user(first[one["id"]]), one) for one in shown if one["id"] in first
    ]
    lacking = [f"{one['name']} ({one['id']})" for one in shown if one["id"] not in first]
    return found, lacking if user_id is None else []
