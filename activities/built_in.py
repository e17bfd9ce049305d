"""What a built-in tool is: arguments that are checked, and a coroutine that uses them.

Each runs inside the transaction that commits its return, so its effect happens once.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from o.domain.agents import Agent
from o.domain.text import storable_json
from o.errors import ToolFailed


class Arguments(BaseModel):
    """Arguments of a tool; what a model adds to them is ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


_Arguments = TypeVar("_Arguments", bound=Arguments)


class BuiltIn(Generic[_Arguments]):
    """A built-in tool: what it takes and what it does."""

    def __init__(
        self,
        arguments: type[_Arguments],
        run: Callable[[AsyncConnection, Agent, _Arguments], Awaitable[str]],
    ) -> None:
        self._arguments = arguments
        self._run = run

    async def __call__(
        self, connection: AsyncConnection, agent: Agent, arguments: dict[str, Any]
    ) -> str:
        """Run with arguments as the model gave them.

        Raises:
            ToolFailed: The arguments do not fit, or the tool refused; for the model to read.
        """
        try:
            parsed = self._arguments.model_validate(storable_json(arguments))
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False)
            )
            raise ToolFailed(f"The arguments do not fit: {problems}.") from None
        return await self._run(connection, agent, parsed)
