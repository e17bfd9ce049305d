"""V1's spelling of imports and exports of agent files."""

from typing import Any

from pydantic import BaseModel, Field

from api.wire.fields import RequestBody, Several, Text, with_example


class ImportedAgentsBody(BaseModel):
    """V1's `ImportedAgentsResponse`; `notes` is O's own.

    Attributes:
        agent_ids: In the order of the file.
        notes: What was not taken over as it stood in the file, each in a sentence.
    """

    agent_ids: list[str]
    notes: list[str] = []


class SkillBody(RequestBody):
    """V1's `SkillSchema`: `files` by their paths, or where they can be had."""

    name: Text = Field(min_length=1, max_length=500)
    files: dict[Text, Text] | None = None
    source_url: Text | None = None

    def to_part(self) -> dict[str, Any]:
        """It as files have it."""
        return self.model_dump(mode="json")


class ExportAgentBody(RequestBody):
    """V1's `ExportAgentRequest`."""

    model_config = with_example(scrub_messages=False, skills=[])

    skills: Several[SkillBody] = Field([])
    conversation_id: Text | None = None
    scrub_messages: bool = False
