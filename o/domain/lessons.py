"""What was learnt of models by their refusals (`o.llm.requests.lessons` says what each means)."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class ModelKey:
    """Whose model it is that something was learnt of.

    Attributes:
        organization_id: Empty where nobody says; such lessons stay in their process.
        provider: Its name.
        provider_mark: Changes with the provider's address or kind, which makes its lessons void.
        model: The model's id there.
    """

    organization_id: str
    provider: str
    provider_mark: str
    model: str


class Lessons(Protocol):
    """Where lessons are kept for all workers. They are forgotten after some days."""

    async def all(self) -> dict[ModelKey, frozenset[str]]:
        """What is known of each model."""
        ...

    async def add(self, key: ModelKey, lessons: frozenset[str]) -> None:
        """Keep lessons; what is learnt again lasts longer."""
        ...
