"""V1's older `llm_config`, which says in one object which model is called and how."""

from typing import Any

SETTINGS_NAMES = {
    "temperature": "temperature",
    "max_tokens": "max_output_tokens",
    "parallel_tool_calls": "parallel_tool_calls",
    "response_format": "response_format",
}
"""What `model_settings` has a word for, by its name in `llm_config`."""

DERIVED_NAMES = frozenset(
    {
        "model",
        "handle",
        "provider_name",
        "model_endpoint_type",
        "model_endpoint",
        "context_window",
        *SETTINGS_NAMES,
    }
)
"""What O derives from the handle, or keeps to itself."""

RESPONSE_FORMATS = ("text", "json_object", "json_schema")


def handle_of(config: dict[str, Any]) -> str:
    """The handle that it names; not necessarily a well-formed one."""
    provider = config.get("provider_name") or config.get("model_endpoint_type")
    return str(config.get("handle") or f"{provider or ''}/{config.get('model') or ''}")


def embedding_handle_of(config: dict[str, Any]) -> str:
    """The handle that V1's `embedding_config` names; not necessarily a well-formed one."""
    provider, model = config.get("embedding_endpoint_type"), config.get("embedding_model")
    return str(config.get("handle") or f"{provider or ''}/{model or ''}")


def settings_in(config: dict[str, Any]) -> dict[str, Any]:
    """What it says that `model_settings` has a word for, in the words of that."""
    found = {ours: config.get(theirs) for theirs, ours in SETTINGS_NAMES.items()}
    return {name: value for name, value in found.items() if value is not None}


def options_in(config: dict[str, Any]) -> dict[str, Any]:
    """What only it has a word for."""
    return {name: value for name, value in config.items() if name not in DERIVED_NAMES}
