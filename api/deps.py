"""Dependencies of routes, spelled once."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import QueryParams
from temporalio.client import Client

from api.access.audit import put_request_on_record
from api.access.auth import current_actor, key_of, reach_of
from api.edge.calls import call_of
from api.measures import Measures
from api.pagination import page_query
from api.providers import ProviderBook
from api.readiness import Readiness
from api.tools.mcp_servers import McpBook
from api.turns.callbacks import Callbacks
from api.turns.turns import Turns
from api.wire.agents import EVERYTHING, Relations
from api.worker_requests import WorkerRequests
from o.domain.actors import Actor
from o.domain.agents import Thread
from o.domain.embedding import TextEmbedder
from o.domain.keys import Scope
from o.errors import InvalidArgument, InvalidInput
from o.ids import is_id, pattern
from o.llm.embedding.embeddings import Embedder
from o.llm.providers.catalogue import Catalogue
from o.outbound import OutboundGuard
from o.settings.all import Settings
from o.storage.database import Database
from o.storage.pages import Page
from o.storage.search.archival import PassageSearch
from o.storage.search.recall import MessageSearch
from o.storage.tools.variables import Variables
from o.temporal.embeddings import EmbeddingStarter
from o.temporal.ingestions import IngestionStarter

_NO_QUERY = QueryParams()
_WRITES: frozenset[Scope] = frozenset({"write"})
_CLIENT = re.compile(r"(?:@letta-ai/)?letta-client/(\d+)")


@dataclass(frozen=True)
class Parts:
    """What the application is made of, built when it starts."""

    settings: Settings
    database: Database
    temporal: Client
    turns: Turns
    callbacks: Callbacks
    catalogue: Catalogue
    providers: ProviderBook
    embedder: Embedder
    texts: TextEmbedder
    embeddings: EmbeddingStarter
    ingestions: IngestionStarter
    default_embedding: str | None
    outbound: OutboundGuard
    readiness: Readiness
    measures: Measures
    workers: WorkerRequests
    mcp: McpBook
    variables: Variables
    passage_search: PassageSearch
    message_search: MessageSearch


def parts_of(request: Request) -> Parts:
    """What the application is made of, for a route that is too frequent to be given it."""
    parts: Parts = request.app.state.parts
    return parts


async def _parts(request: Request) -> Parts:
    return parts_of(request)


PartsDep = Annotated[Parts, Depends(_parts)]


async def _transaction(request: Request) -> AsyncIterator[AsyncConnection]:
    # First, here and below: who has a connection and waits for another one may wait for itself.
    await current_actor(request)
    async with parts_of(request).database.begin() as connection:
        yield connection
        await put_request_on_record(connection, request)


async def _reads(request: Request) -> AsyncIterator[AsyncConnection]:
    await current_actor(request)
    async with parts_of(request).database.connect() as connection:
        yield connection


async def refuse_category(request: Request) -> None:
    """V1's `provider_category` means nothing here; an operator may want it refused.

    Raises:
        InvalidInput: The request holds it, and the operator does.
    """
    if not parts_of(request).settings.strict_provider_category:
        return
    held = "provider_category" in request.query_params
    if not held and request.method in ("POST", "PATCH") and (content := await request.body()):
        try:
            body = from_json(content)
        except ValueError:
            body = None  # it is refused anyhow
        held = isinstance(body, dict) and "provider_category" in body
    if held:
        raise InvalidInput("provider_category is not known: there is one kind of provider")


# All dependencies are coroutines: FastAPI would send plain functions to a thread, at a cost. They
# call each other where they can, because each one that FastAPI resolves costs as well.
# These two end before the answer is sent, so that what a client is told is committed.
TransactionDep = Annotated[AsyncConnection, Depends(_transaction, scope="function")]
ReadsDep = Annotated[AsyncConnection, Depends(_reads, scope="function")]

ActorDep = Annotated[Actor, Depends(current_actor)]


async def _reach(request: Request) -> str | None:
    return reach_of(request.scope)


ReachDep = Annotated[str | None, Depends(_reach)]
"""The organization that an administrator sees; None is all of them."""

AgentId = Annotated[str, Path(pattern=pattern("agent"))]
ArchiveId = Annotated[str, Path(pattern=pattern("archive"))]
FolderId = Annotated[str, Path(pattern=pattern("source"))]
FileId = Annotated[str, Path(pattern=pattern("file"))]
PassageId = Annotated[str, Path(pattern=pattern("passage"))]
BlockId = Annotated[str, Path(pattern=pattern("block"))]
ToolId = Annotated[str, Path(pattern=pattern("tool"))]
BatchId = Annotated[str, Path(pattern=pattern("job"))]
MessageId = Annotated[str, Path(pattern=pattern("message"))]
StepId = Annotated[str, Path(pattern=pattern("step"))]
ConversationId = Annotated[str, Path(pattern=pattern("conv"))]
IdentityId = Annotated[str, Path(pattern=pattern("identity"))]
GroupId = Annotated[str, Path(pattern=pattern("group"))]
# V1 takes an agent's id for its own thread as well, from older clients.
ThreadId = Annotated[
    str,
    Path(
        alias="conversation_id",
        pattern=f"^default$|{pattern('conv')}|{pattern('agent')}",
        description="A conversation's id, or `default` for the own thread of `agent_id`",
    ),
]
AgentOfThread = Annotated[str | None, Query(alias="agent_id", pattern=pattern("agent"))]


def id_in_path(request: Request, kind: str) -> str:
    """An id of the path, for a route that is too frequent to be given it.

    Routes that go by it are documented with `in_path`.

    Raises:
        RequestValidationError: It is no id of that kind.
    """
    name = f"{kind}_id"
    try:
        return _ids(kind).validate_python(request.path_params[name])
    except ValidationError as error:
        wrong = [{**one, "loc": ("path", name)} for one in error.errors(include_url=False)]
        raise RequestValidationError(wrong) from None


@cache
def _ids(kind: str) -> TypeAdapter[str]:
    return TypeAdapter(Annotated[str, Field(pattern=pattern(kind))])


def thread_of(thread_id: str, agent_id: str | None) -> Thread:
    """The thread that a path names; `default` is the own thread of `agent_id`.

    Raises:
        InvalidArgument: `default` comes without the agent's id.
    """
    if thread_id == "default":
        if agent_id is None:
            raise InvalidArgument("INVALID_ARGUMENT: the conversation 'default' needs agent_id")
        return Thread(agent_id=agent_id)
    if is_id(thread_id, "agent"):
        return Thread(agent_id=thread_id)
    return Thread(conversation_id=thread_id)


async def _thread(thread_id: ThreadId, agent_id: AgentOfThread = None) -> Thread:
    return thread_of(thread_id, agent_id)


ThreadDep = Annotated[Thread, Depends(_thread)]
"""The thread of a path whose `agent_id` comes in the query. Bodies have `thread_of`."""


async def _run_id(run_id: str) -> str:
    """V1 checks the ids of runs by hand, and so answers 400 where other ids get 422."""
    if not is_id(run_id, "run"):
        raise InvalidArgument(
            f"INVALID_ARGUMENT: Invalid run ID format: {run_id[:100]}; expected run-<uuid4>"
        )
    return run_id


RunId = Annotated[str, Depends(_run_id)]


def is_current_client(request: Request) -> bool:
    """Whether V1 takes the caller for a client of release 1 or later (or for no client at all)."""
    if "x-stainless-package-version" in request.headers:
        return True
    agent = request.headers.get("user-agent")
    if agent is None:
        return True
    found = _CLIENT.match(agent)
    return found is not None and int(found[1]) >= 1


async def _is_current_client(request: Request) -> bool:
    return is_current_client(request)


CurrentClientDep = Annotated[bool, Depends(_is_current_client)]


def relations_of(request: Request) -> Relations:
    """What V1 shows beside an agent: what `include` names to 1.x clients, else everything.

    Clients before release 1 can name what they want in `include_relationships`, in older words.
    A tool is shown no secrets: it has those of its own agent. Neither is a key that only reads.
    Routes that go by it are documented with `RELATIONS`.
    """
    key = key_of(request.scope)
    sees_none = call_of(request.scope) is not None or not (key is None or key.opens(_WRITES))
    query = request.query_params if request.scope["query_string"] else _NO_QUERY
    if is_current_client(request):
        names = {name.removeprefix("agent.") for name in query.getlist("include")}
    elif not (older := query.getlist("include_relationships")):
        return replace(EVERYTHING, secrets=not sees_none)
    else:
        names = {"blocks" if name == "memory" else name for name in older}
    if "tool_exec_environment_variables" in names:
        names.add("secrets")
    if "multi_agent_group" in names:
        names.add("managed_group")
    return Relations(
        blocks="blocks" in names,
        tools="tools" in names,
        tags="tags" in names,
        secrets="secrets" in names and not sees_none,
        identities="identities" in names,
        groups="managed_group" in names,
        sources="sources" in names,
    )


async def _relations(request: Request) -> Relations:
    return relations_of(request)


RelationsDep = Annotated[Relations, Depends(_relations)]


async def _expected_version(
    if_match: Annotated[str | None, Header(description="Version of the block, as `ETag`")] = None,
) -> int | None:
    """The version that a change is made for; None, also for `*`, is any.

    Raises:
        InvalidArgument: The header holds no tag that this server has given.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    found = re.fullmatch(r'\s*(?:W/)?"?([0-9]{1,18})"?\s*', if_match)
    if found is None:
        raise InvalidArgument("If-Match takes the ETag of the block, such as '\"3\"', or '*'")
    return int(found[1])


ExpectedVersionDep = Annotated[int | None, Depends(_expected_version)]


PageDep = Annotated[Page, Depends(page_query(limit=50, most=1_000))]
