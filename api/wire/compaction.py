"""V1's spelling of a compaction that a client asks for."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from api.wire.fields import Json, RequestBody, with_example
from api.wire.llm import checked_compaction
from o.ids import pattern


class CompactionRequestBody(RequestBody):
    """V1's `CompactionRequest`."""

    model_config = with_example(compaction_settings={"mode": "sliding_window"})

    compaction_settings: Annotated[Json, AfterValidator(checked_compaction)] | None = None

    def settings(self) -> dict[str, Any] | None:
        """How it is to be done; None as the agent says."""
        return self.compaction_settings


class ThreadCompactionBody(CompactionRequestBody):
    """V1's `CompactionRequest` of conversations, of which `default` needs the agent."""

    agent_id: str | None = Field(None, pattern=pattern("agent"))


class CompactionBody(BaseModel):
    """V1's `CompactionResponse`; the system message and the summary are counted."""

    summary: str
    num_messages_before: int
    num_messages_after: int
