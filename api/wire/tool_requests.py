"""V1's spelling of what clients ask of tools."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, Field

from api.wire.fields import Json, Key, RequestBody, Several, Text, with_example
from api.wire.tools import ToolBody
from o.domain.tools import SourceType
from sandbox.requirements import MAX_REQUIREMENTS

MAX_SOURCE_BYTES = 1024 * 1024
_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
_HOST = re.compile(r"(\*\.)?[\w-]+(\.[\w-]+)*\.?(:\d{1,5})?|\[[0-9a-fA-F:.]+\](:\d{1,5})?")

_EXAMPLE = '''def roll_dice(sides: int = 6) -> int:
    """Roll a die.

    Args:
        sides: How many sides it has.
    """
    import random

    return random.randint(1, sides)
'''


def _source(source: str) -> str:
    if len(source.encode()) > MAX_SOURCE_BYTES:
        raise ValueError(f"larger than {MAX_SOURCE_BYTES} bytes")
    return source.removeprefix(_BOM)


def _source_type(given: Any) -> Any:
    """V1 shows Python tools as `json`, so clients that copy a tool say so too."""
    if not isinstance(given, str):
        return given
    return {"json": "python"}.get(given.lower(), given.lower())


def _host(host: str) -> str:
    if not _HOST.fullmatch(host):
        raise ValueError("no host: write names such as 'api.example.com' or '*.example.com:443'")
    return host.lower()


Source = Annotated[Key, AfterValidator(_source)]
SourceTypeGiven = Annotated[SourceType, BeforeValidator(_source_type)]
_Host = Annotated[str, Field(max_length=260), AfterValidator(_host)]
_Name = Annotated[Text, Field(min_length=1, max_length=200)]


class _Requirement(RequestBody):
    """V1's `PipRequirement` and `NpmRequirement`."""

    name: _Name
    version: Annotated[Text, Field(max_length=200)] | None = None


class _NpmRequirement(_Requirement):
    name: Annotated[str, Field(max_length=214, pattern=r"^(@[\w.~-]+/)?[\w.~-]+$")]
    version: Annotated[str, Field(max_length=200, pattern=r"^[\w.^~<>=*|+ -]*$")] | None = None


def _named(given: Any) -> Any:
    """A plain text is the name of what is required."""
    return {"name": given} if isinstance(given, str) else given


_Pip = Annotated[_Requirement, BeforeValidator(_named)]
_Npm = Annotated[_NpmRequirement, BeforeValidator(_named)]
Requirements = Annotated[list[_Pip], Field(max_length=MAX_REQUIREMENTS)]
_NpmRequirements = Annotated[list[_Npm], Field(max_length=MAX_REQUIREMENTS)]


class _ToolFields(RequestBody):
    """What a client can say of a tool at any time. None says nothing.

    `is_idempotent` and `allowed_hosts` are O's own (docs/tools.md).
    """

    description: Text | None = None
    tags: Several[Text] | None = None
    json_schema: Json | None = None
    args_json_schema: Json | None = None
    return_char_limit: int | None = Field(None, ge=1, le=1_000_000)
    pip_requirements: Requirements | None = None
    npm_requirements: _NpmRequirements | None = None
    default_requires_approval: bool | None = None
    enable_parallel_execution: bool | None = None
    metadata_: Json | None = Field(None, validation_alias=AliasChoices("metadata_", "metadata"))
    is_idempotent: bool | None = None
    allowed_hosts: Annotated[list[_Host], Field(max_length=100)] | None = None

    def columns(self) -> dict[str, Any]:
        """Column to value, for what was given and is kept as it came."""
        given = {name: getattr(self, name) for name in _KEPT}
        found = {name: value for name, value in given.items() if value is not None}
        for name in ("pip_requirements", "npm_requirements"):
            if name in found:
                found[name] = [one.model_dump() for one in found[name]] or None
        if "tags" in found:
            found["tags"] = list(dict.fromkeys(found["tags"]))
        if self.metadata_ is not None:
            found["metadata"] = self.metadata_
        if "allowed_hosts" in self.model_fields_set:
            found["allowed_hosts"] = self.allowed_hosts
        return found


class CreateToolBody(_ToolFields):
    """V1's `ToolCreate`."""

    model_config = with_example(source_code=_EXAMPLE, tags=["games"])

    source_code: Source
    source_type: SourceTypeGiven = "python"


class UpdateToolBody(_ToolFields):
    """V1's `ToolUpdate`: only what the client names is changed, and null changes nothing.

    Only of `allowed_hosts` null says something: that the tool reaches what the server allows.
    """

    model_config = with_example(tags=["games"], return_char_limit=10_000)

    source_code: Source | None = None
    source_type: SourceTypeGiven | None = None


class CodeBody(RequestBody):
    """V1's `CodeInput`."""

    model_config = with_example(code=_EXAMPLE)

    code: Source
    source_type: SourceTypeGiven | None = "python"


class SearchToolsBody(RequestBody):
    """V1's `ToolSearchRequest`. Every mode is a search by words."""

    model_config = with_example(query="roll dice", limit=5)

    query: Text | None = None
    search_mode: Literal["vector", "fts", "hybrid"] = "hybrid"
    tool_types: Several[Text] | None = None
    tags: Several[Text] | None = None
    limit: int = Field(50, ge=1, le=100)


class FoundToolBody(BaseModel):
    """V1's `ToolSearchResult`."""

    tool: ToolBody
    embedded_text: str | None = None
    fts_rank: int | None = None
    vector_rank: int | None = None
    combined_score: float


_KEPT = (
    "tags",
    "return_char_limit",
    "pip_requirements",
    "npm_requirements",
    "default_requires_approval",
    "enable_parallel_execution",
    "is_idempotent",
)
