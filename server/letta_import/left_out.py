"""Why tables of V1 are left out whole."""

from server.letta_import.kinds.order import KINDS

UNKNOWN_TABLE = "not known to this release"
NOT_ASKED = "not asked for"
NO_RUNS = "not asked for (--with-runs)"

_WHY = {
    "alembic_version": "the revision of V1's schema",
    "provider_models": "providers are asked for their models anew",
    "mcp_oauth": "sign-ins at MCP servers: give those a token, or sign in anew",
    "jobs": "what V1 was doing: what came of it is moved",
    "llm_batch_job": "batches at a provider: nothing fetches them here",
    "llm_batch_items": "batches at a provider: nothing fetches them here",
    "prompts": "a store of prompts that nothing reads here",
    "provider_traces": "requests and answers of model calls, kept to be looked at",
    "provider_trace_metadata": "requests and answers of model calls, kept to be looked at",
}


def why_left_out(table: str) -> str:
    """Why no kind of those that were chosen has gone through a table of V1."""
    if table in _WHY:
        return _WHY[table]
    for kind in KINDS:
        if table in (*kind.counted, *kind.needs):
            return NO_RUNS if kind.name == "runs" else NOT_ASKED
    return UNKNOWN_TABLE
