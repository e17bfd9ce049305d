"""What an operator can set of the memory of agents."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class MemorySettings(BaseSettings):
    """Settings of blocks, of summaries and of searches."""

    block_limit: Literal["advise", "enforce"] = Field(
        "advise",
        description="Whether the limit of a block is only shown to the model (advise), or holds: "
        "what would go over it is refused, to tools and to the API (enforce).",
    )
    block_versions: int = Field(
        10_000,
        ge=1_000,
        le=1_000_000_000,
        description="Versions of a block that are kept, at least; up to 1,000 more may be there.",
    )
    summary_timeout_s: float = Field(
        120.0,
        gt=0,
        le=1_500,
        description="Seconds that models have for the summary of a history that leaves the context "
        "window; then it leaves without one.",
    )
    search_timeout_s: float = Field(
        5.0, gt=0, le=3_600, description="Seconds that each statement of a search may take."
    )
    search_embedding_timeout_s: float = Field(
        2.0,
        gt=0,
        le=3_600,
        description="Seconds that a search waits for the vector of what is asked.",
    )

    message_embedding: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether messages are embedded, so that they are found by their meaning too: "
        "on: by the default embedding model, whatever that costs; auto: where that is the one that "
        "comes with O; off: words alone are searched.",
    )

    @property
    def enforces_block_limit(self) -> bool:
        """Whether a block's limit holds."""
        return self.block_limit == "enforce"
