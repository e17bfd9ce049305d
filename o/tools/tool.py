"""What a tool is: how a model sees it, and a coroutine that runs it for an agent."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from o.domain.agents import Agent
from o.domain.blocks import Block
from o.domain.files.directories import FileRequest, OpenedFiles
from o.domain.llm import ToolSpec
from o.domain.text import storable_json
from o.errors import ToolFailed


class BlockMissing(ToolFailed):
    """The agent has no block by that label."""


class Memory(Protocol):
    """What a tool may do to the memory of the agent that calls it.

    Whoever runs the tool decides what stands behind it and when it is committed.
    """

    async def block(self, label: str) -> Block:
        """The block by that label, which nobody else changes until the tool's effect is committed.

        Raises:
            BlockMissing: There is none.
            ToolFailed: It is read-only, in V1's words.
        """

    async def hold(self, labels: Iterable[str]) -> None:
        """Before several blocks are changed: nobody else changes them from now on.

        Two tools that need the same blocks, in whatever order, so never wait for each other.
        Labels that no block has are passed over.
        """

    async def set_value(self, block: Block, value: str) -> str:
        """Give a block a new value, and so a new version; returns the value."""

    async def create_block(self, label: str, value: str, description: str = "") -> Block:
        """A new block, attached behind the agent's others.

        Raises:
            ToolFailed: The label cannot be used, or is taken.
        """

    async def delete_block(self, label: str) -> None:
        """Take a block away from the agent. The block itself stays, with its history.

        Raises:
            ToolFailed: There is none, or the conversation has the block to itself.
        """

    async def rename_block(self, label: str, new: str) -> None:
        """Give a block another label, for every agent that has it.

        Raises:
            ToolFailed: The label cannot be used, or is taken at one of them, or the conversation
                has the block to itself.
        """

    async def describe_block(self, label: str, description: str) -> None:
        """Say anew what a block is for."""

    def all_or_nothing(self) -> AbstractAsyncContextManager[Any]:
        """Inside it, a failure takes back what was changed since it was entered."""

    async def add_passage(self, text: str, tags: Sequence[str]) -> None:
        """Keep a text in the archive that the agent adds to, which is made when it has none."""

    async def open_files(self, wanted: Sequence[FileRequest], *, close_others: bool) -> OpenedFiles:
        """Have the agent see files, and no longer those that it used longest ago.

        Raises:
            ToolFailed: One of them cannot be opened; then nothing is.
        """


@dataclass(frozen=True)
class Caller:
    """Who runs a tool: the agent, as it acts in its conversation, and what it remembers."""

    agent: Agent
    memory: Memory


class Tool(Protocol):
    """A tool that an agent can be given. It needs no database to be open, and opens none itself."""

    @property
    def spec(self) -> ToolSpec:
        """How models see it."""

    @property
    def only_reads(self) -> bool:
        """Whether calls of it may run beside one another, in any order."""

    async def __call__(self, caller: Caller, arguments: dict[str, Any]) -> str:
        """Run with arguments as the model gave them.

        Raises:
            ToolFailed: The arguments do not fit, or the tool refused; for the model to read.
        """


class Arguments(BaseModel):
    """Arguments of a built-in tool; what a model adds to them is ignored.

    Null stands for what a model leaves out: where schemas are strict, it has to name everything.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value is not None}


_Arguments = TypeVar("_Arguments", bound=Arguments)


class BuiltIn(Generic[_Arguments]):
    """A tool that comes with the server: its specification, what it takes, and what it does."""

    def __init__(
        self,
        spec: ToolSpec,
        arguments: type[_Arguments],
        run: Callable[[Caller, _Arguments], Awaitable[str]],
        *,
        only_reads: bool = False,
    ) -> None:
        self.spec = spec
        self.only_reads = only_reads
        self._arguments = arguments
        self._run = run

    async def __call__(self, caller: Caller, arguments: dict[str, Any]) -> str:
        """Check the arguments, then run; see `Tool`."""
        return await self._run(caller, parsed(self._arguments, arguments))


class RunElsewhere:
    """A tool that comes with the server and works outside its transactions, by a `ToolRunner`.

    Where there is no runner for it, a call says why not.
    """

    def __init__(self, spec: ToolSpec, refusal: str, *, only_reads: bool = False) -> None:
        self.spec = spec
        self.only_reads = only_reads
        self.refusal = refusal

    async def __call__(self, caller: Caller, arguments: dict[str, Any]) -> str:
        """Say that it cannot be run here; see `Tool`."""
        raise ToolFailed(self.refusal)


def parsed(model: type[_Arguments], arguments: Mapping[str, Any]) -> _Arguments:
    """The arguments of a built-in tool, as the model gave them.

    Raises:
        ToolFailed: They do not fit, in words for the model.
    """
    try:
        return model.model_validate(storable_json(dict(arguments)))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise ToolFailed(f"The arguments do not fit: {problems}.") from None
    except RecursionError:
        raise ToolFailed("The arguments do not fit: they are nested too deep.") from None


def schema(properties: dict[str, Any], required: Sequence[str] = ()) -> dict[str, Any]:
    """The JSON schema of a tool's arguments."""
    return {"type": "object", "properties": properties, "required": list(required)}


def string(description: str, **more: Any) -> dict[str, Any]:
    """The JSON schema of an argument that is text."""
    return {"type": "string", "description": description, **more}


def integer(description: str, **more: Any) -> dict[str, Any]:
    """The JSON schema of an argument that is a whole number."""
    return {"type": "integer", "description": description, **more}
