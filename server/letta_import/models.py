"""Tells which agents have models that nobody here can be asked for."""

from collections.abc import Iterator, Sequence
from typing import Any

from o.letta.agents import model_fields
from o.letta.notes import Notes
from o.settings.providers import ProviderSettings
from server.lacking_providers import AGENTS_BY_PROVIDER, lacking_providers
from server.letta_import.accounts import Accounts
from server.letta_import.kind import Context, Kind
from server.letta_import.kinds.owners import LIVE_OWNER

_MOVED = "AND t.id IN (SELECT id FROM moved_rows WHERE kind = 'agents')"
_THERE = f"""
    SELECT t.id, t.organization_id, t.llm_config FROM agents AS t
    WHERE NOT t.is_deleted AND {LIVE_OWNER.format("t")} ORDER BY t.id
"""
_SET_UP_THERE = """
    SELECT organization_id, name FROM providers
    WHERE NOT is_deleted AND provider_category != 'base' AND organization_id IS NOT NULL
"""
_SET_UP_HERE = "SELECT organization_id, name FROM providers WHERE origin = 'api'"


def tell_lacking_models(
    context: Context, kinds: Sequence[Kind], providers: ProviderSettings, accounts: Accounts
) -> None:
    """Tell it before all else, where agents were moved or would be.

    Args:
        context: The two databases, when everything else is done.
        kinds: What was to be moved.
        providers: The environment's; O may be started with another one, which is not seen here.
        accounts: Is told.
    """
    if "agents" not in {kind.name for kind in kinds}:
        return
    if context.is_dry:
        rows = list(_of_v1(context))
    else:
        rows = context.target.query(AGENTS_BY_PROVIDER.format(only=_MOVED))
    told = [
        ("providers", one.name, f"{one.what}: {one.way_out}")
        for one in lacking_providers(rows, providers)
    ]
    accounts.told[:0] = told


def _of_v1(context: Context) -> Iterator[dict[str, Any]]:
    """The same of V1's agents, for an import that writes none."""
    rows = [*context.source.all(_SET_UP_THERE), *context.target.query(_SET_UP_HERE)]
    set_up = {(row["organization_id"], row["name"]) for row in rows}
    for batch in context.source.batches(_THERE):
        for row in batch:
            provider = model_fields(row, Notes(), "")["model"].partition("/")[0]
            owner = row["organization_id"]
            if provider and provider != "letta" and (owner, provider) not in set_up:
                yield {"provider": provider, "agents": 1, "some": [row["id"]]}
