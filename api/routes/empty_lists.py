"""Lists of what nobody can make yet: clients that only look find nothing.

Whatever else V1 does with these things answers 501 (`not_implemented`).
"""

from typing import Any

from fastapi import APIRouter

router = APIRouter()

# By path, what V1 calls the operation, and what there is none of.
LISTS = {
    "/jobs/": ("list_jobs", "jobs"),
    "/jobs/active": ("list_active_jobs", "open jobs"),
}


async def _nothing() -> list[Any]:
    """None: they cannot be made yet."""
    return []


for _path, (_id, _what) in LISTS.items():
    router.add_api_route(
        _path,
        _nothing,
        operation_id=_id,
        tags=[_path.strip("/").split("/")[0]],
        summary=f"List {_what} (none yet)",
    )
