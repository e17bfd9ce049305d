"""Providers of models that somebody set up through V1's API, with their keys."""

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from o.addresses import check_base_url
from o.domain.providers import secret_of
from o.letta.secrets import V1Secret
from o.llm.providers.provider_types import PROVIDER_TYPES
from server.letta_import.kind import Context, Item, LeftOut
from server.letta_import.kinds.owners import FLAGGED, LIVE_OWNER, NO_OWNER
from server.letta_import.kinds.sealing import (
    digest_without,
    marked,
    sealed,
    secret_in,
    secrets_here,
    sendable,
    told_of,
    unsent,
)
from server.letta_import.kinds.table_kind import TableKind, stamps, taken_names
from server.letta_import.source import Row

_SECRETS = ("api_key", "api_key_enc", "access_key", "access_key_enc")
_ROWS = f"""
    SELECT t.*, {LIVE_OWNER.format("t")} AS has_owner,
        {digest_without("t", *_SECRETS)} || t.is_deleted AS digest
    FROM providers AS t ORDER BY t.id
"""
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
OF_ENVIRONMENT = "V1's own, with the key of its environment: set that of O where it runs"
TAKEN = "one by its name is here already, and is used"
NO_NAME = "handles cannot begin with its name here"
NO_ADDRESS = "its address is none that is asked here"


class Providers(TableKind):
    """Providers of organizations. Those of V1's environment are of O's environment here."""

    name = "providers"
    table = "providers"
    here_table = "providers"
    content = ("name", "provider_type", "base_url", "api_key", "access_key", "region")
    needs: ClassVar = {
        "providers": (
            *("id", "name", "organization_id", "provider_type", "provider_category", "base_url"),
            *("region", "api_version", "is_deleted", "created_at", "updated_at", *_SECRETS),
        ),
    }

    def read(self, context: Context) -> Iterator[Item | LeftOut]:
        """Each with its keys, as far as they can be read."""
        for rows in context.source.batches(_ROWS):
            taken = taken_names(context, "providers", "name", rows, named="name")
            here = secrets_here(context, "providers", ("api_key", "access_key"), rows)
            for row in rows:
                if reason := _why_left(row, taken):
                    yield LeftOut(self.table, reason, id=_worth_telling(row))
                else:
                    yield _item(context, row, here.get(row["id"], {}))


def _worth_telling(row: Row) -> str | None:
    return None if row["is_deleted"] or row["provider_category"] == "base" else row["id"]


def _why_left(row: Row, taken: set[str]) -> str | None:
    if row["is_deleted"]:
        return FLAGGED
    if row["provider_category"] == "base" or row["organization_id"] is None:
        return OF_ENVIRONMENT
    if not row["has_owner"]:
        return NO_OWNER
    return TAKEN if row["id"] in taken else _why_useless(row)


def _why_useless(row: Row) -> str | None:
    if not _NAME.fullmatch(row["name"]):
        return NO_NAME
    if row["provider_type"] not in PROVIDER_TYPES:
        return f"its type {row['provider_type'][:50]} is not served here"
    return NO_ADDRESS if _address(row) == _NONE else None


_NONE = "none"


def _address(row: Row) -> str | None:
    """Where it is asked: None at the usual address of its type, `none` where it cannot be."""
    kind = PROVIDER_TYPES[row["provider_type"]]
    given = (row["base_url"] or "").strip()
    usual = (kind.base_url or "").replace("{region}", row["region"] or "")
    if not given or given == kind.name:  # V1 has the type's name where there is no address
        return None if kind.base_url else _NONE
    try:
        url = check_base_url(given)
    except ValueError:
        return _NONE
    return None if usual and kind.address(url, row["region"]) == usual.rstrip("/") else url


def _item(context: Context, row: Row, here: Row) -> Item:
    keys = {name: secret_in(context, row, name) for name in ("api_key", "access_key")}
    lost = {name: key for name, key in keys.items() if key.trouble and not here.get(name)}
    address = _address(row)
    told = [
        line
        for name, key in lost.items()
        for line in told_of(name, key, "give it again to the provider")
    ]
    told += [line for name, key in keys.items() for line in unsent(name, key)]
    if address is not None:
        told.append(f"{row['name']} is asked at {address}, as in V1: its key goes there")
    return Item(
        id=row["id"],
        organization_id=row["organization_id"],
        digest=marked(row["digest"], *lost.values()),
        tables={"providers": 1},
        rows={"providers": [_row(context, row, keys, here) | {"base_url": address}]},
        told=told,
    )


def _row(context: Context, row: Row, keys: dict[str, V1Secret], here: Row) -> dict[str, Any]:
    made = stamps(row)
    return {
        "id": row["id"],
        "organization_id": row["organization_id"],
        "name": row["name"],
        "provider_type": row["provider_type"],
        "origin": "api",
        "region": row["region"] or None,
        "api_version": row["api_version"] or None,
        "created_at": made["created_at"],
        "updated_at": made["updated_at"],
    } | {
        name: here.get(name)
        if key.trouble
        else sealed(context, sendable(key.text), of=secret_of(row["id"], name))
        for name, key in keys.items()
    }
