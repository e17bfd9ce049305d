"""How an agent's history is compacted: V1's `compaction_settings`."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Mode = Literal["all", "sliding_window", "self_compact_all", "self_compact_sliding_window"]

DEFAULT_CLIP_CHARS = 50_000
DEFAULT_PERCENTAGE = 0.3


class CompactionSettings(BaseModel):
    """What becomes of a history that is about to fill the context window.

    Attributes:
        model: The handle of the model that writes summaries; None for the agent's own.
        model_settings: What it is called with; None for what the agent's is called with, where
            it is the same model.
        prompt: What it is told to do; None for what the mode tells.
        prompt_acknowledgement: Whether it is shown to have understood that.
        clip_chars: Characters that a summary may have; None leaves that to the context window.
        mode: Whether the newest messages stay (`sliding_window`), and whether the agent's own
            model writes the summary, with the whole prompt before its eyes (`self_compact_*`).
        sliding_window_percentage: How much of the context window is to be free afterwards.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str | None = None
    model_settings: dict[str, Any] | None = None
    prompt: str | None = None
    prompt_acknowledgement: bool = False
    clip_chars: int | None = Field(DEFAULT_CLIP_CHARS, ge=1)
    mode: Mode = "sliding_window"
    sliding_window_percentage: float = Field(DEFAULT_PERCENTAGE, ge=0, le=1)

    @classmethod
    def of(cls, stored: dict[str, Any] | None) -> Self:
        """The settings of an agent; what earlier releases took that makes no sense is left out."""
        given = {name: value for name, value in (stored or {}).items() if value is not None}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            wrong = {str(one["loc"][0]) for one in error.errors() if one["loc"]}
            return cls.model_validate({k: v for k, v in given.items() if k not in wrong})

    @property
    def keeps_none(self) -> bool:
        """Whether all messages go that may."""
        return self.mode in ("all", "self_compact_all")

    @property
    def by_agent(self) -> bool:
        """Whether the agent's own model is asked in its own prompt."""
        return self.mode.startswith("self_compact")
