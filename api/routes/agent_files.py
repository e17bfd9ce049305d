"""Agent files: agents with all that is theirs, as V1's `.af` files."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Header, Query, Request, Response, UploadFile
from fastapi.responses import StreamingResponse
from pydantic_core import from_json
from starlette.types import Receive, Scope, Send

from api.access.auth import has_scope
from api.agent_files.exporting import Export, export_agent
from api.agent_files.importing import Asked, import_file
from api.agent_files.long_lists import LongLists
from api.bodies import answer
from api.deps import ActorDep, AgentId, Parts, PartsDep
from api.wire.agent_files import ExportAgentBody, ImportedAgentsBody
from o.domain.actors import Actor
from o.domain.text import storable
from o.errors import InvalidArgument, InvalidInput
from o.letta.plans import ImportOptions

router = APIRouter(prefix="/agents", tags=["agents"])

_OLD = Form(deprecated=True)


async def _asked(
    append_copy_suffix: Annotated[bool, Form()] = True,
    override_existing_tools: Annotated[bool, Form()] = True,
    strip_messages: Annotated[bool, Form()] = False,
    secrets: Annotated[str | None, Form(description="Variables for tools, as JSON")] = None,
    name: Annotated[str | None, Form(max_length=500)] = None,
    model: Annotated[str | None, Form()] = None,
    embedding: Annotated[str | None, Form()] = None,
    env_vars_json: Annotated[str | None, _OLD] = None,
    override_name: Annotated[str | None, _OLD] = None,
    override_model_handle: Annotated[str | None, _OLD] = None,
    override_embedding_handle: Annotated[str | None, _OLD] = None,
    project_id: Annotated[str | None, _OLD] = None,
    x_project_id: Annotated[str | None, Header()] = None,
    x_override_embedding_model: Annotated[str | None, Header()] = None,
) -> Asked:
    """What an import is asked to do, by V1's names of today and by its older ones."""
    options = ImportOptions(
        append_copy_suffix=append_copy_suffix,
        override_existing_tools=override_existing_tools,
        strip_messages=strip_messages,
        secrets=_variables(env_vars_json, "env_vars_json") | _variables(secrets, "secrets"),
        name=_text(name or override_name),
        project_id=_text(project_id or x_project_id),
    )
    return Asked(
        options=options,
        model=_text(model or override_model_handle),
        embedding=_text(embedding or override_embedding_handle or x_override_embedding_model),
    )


@router.post(
    "/import",
    operation_id="import_agent",
    summary="Import an agent file",
    response_model=ImportedAgentsBody,
)
async def import_(
    file: Annotated[UploadFile, File(description="The .af file, of V1 or of O")],
    asked: Annotated[Asked, Depends(_asked)],
    request: Request,
    actor: ActorDep,
    parts: PartsDep,
) -> Response:
    """Make new agents of a file. Nothing is stored where any of it cannot be.

    Files of V1's releases from 0.6 on are taken. MCP servers are added with the scope
    `admin` alone. `notes` says what is not as it was in the file.
    """
    done = await import_file(
        await file.read(), asked, actor, parts, adds_servers=has_scope(request.scope, "admin")
    )
    return answer(ImportedAgentsBody(agent_ids=done.agent_ids, notes=done.notes))


@router.get(
    "/{agent_id}/export",
    operation_id="export_agent",
    summary="Export an agent",
    response_model=dict[str, Any],
)
async def export(
    agent_id: AgentId,
    actor: ActorDep,
    parts: PartsDep,
    max_steps: Annotated[int | None, Query(deprecated=True)] = None,
    use_legacy_format: Annotated[bool, Query(deprecated=True)] = False,
    conversation_id: str | None = None,
    scrub_messages: bool = False,
) -> Response:
    """An agent file: the agent, and those of its groups, with all that is theirs.

    Values of secrets are left out. `max_steps` changes nothing, as in V1.
    """
    if use_legacy_format:
        raise InvalidArgument(
            "INVALID_ARGUMENT: the legacy format is not written: leave use_legacy_format out"
        )
    wanted = Export(conversation_id=conversation_id, scrub_messages=scrub_messages)
    return await _exported(agent_id, wanted, actor, parts)


@router.post(
    "/{agent_id}/export",
    operation_id="export_agent_with_skills",
    summary="Export an agent with skills",
    response_model=dict[str, Any],
)
async def export_with_skills(
    agent_id: AgentId, actor: ActorDep, parts: PartsDep, body: ExportAgentBody | None = None
) -> Response:
    """The same as the GET, with skills that the client brings."""
    body = body or ExportAgentBody()
    wanted = Export(
        conversation_id=body.conversation_id,
        scrub_messages=body.scrub_messages,
        skills=[skill.to_part() for skill in body.skills] or None,
    )
    return await _exported(agent_id, wanted, actor, parts)


class _Exported(StreamingResponse):
    """A file. Where its lists have waited is free as soon as the answer ends or breaks off."""

    def __init__(self, pieces: Iterator[bytes], lists: LongLists) -> None:
        super().__init__(pieces, media_type="application/json")
        self._lists = lists

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        with closing(self._lists):
            await super().__call__(scope, receive, send)


async def _exported(agent_id: str, wanted: Export, actor: Actor, parts: Parts) -> Response:
    with ExitStack() as where_none_comes:
        lists = where_none_comes.enter_context(closing(LongLists()))
        answered = _Exported(await export_agent(agent_id, wanted, actor, parts, lists), lists)
        where_none_comes.pop_all()
        return answered


def _text(given: str | None) -> str | None:
    """A form's text; clients send an empty one where they mean none."""
    return storable(given) if given else None


def _variables(given: str | None, field: str) -> dict[str, str]:
    """Variables that come as JSON, an object of texts."""
    if not given:
        return {}
    try:
        told = from_json(given)
    except ValueError:
        told = None
    if not isinstance(told, dict) or not all(isinstance(one, str) for one in told.values()):
        raise InvalidInput(f"{field} must be a JSON object whose values are texts")
    return told
