"""Tools that a model writes because a client asks: judged as a client's own, and not stored."""

from dataclasses import replace
from datetime import UTC, datetime

from api.deps import Parts
from api.model_calls import IsGone, ask_model, find_writer
from api.tools.new_tools import derived_schema, free_name
from api.wire.generation import GeneratedToolBody, GenerateToolBody
from api.wire.tool_requests import MAX_SOURCE_BYTES
from api.wire.tools import ToolBody
from o.domain.actors import Actor
from o.domain.tools import StoredTool
from o.errors import InvalidArgument, ModelError
from o.ids import new_id
from o.tools.writing import Wanted, Written, check_function_name, read_written, writing_request
from sandbox.requirements import check

_ATTEMPTS = 2
_DEFAULT_MODEL = "letta/auto"
"""Means the operator's default model, else the first that is there."""


async def generate_tool(
    parts: Parts, actor: Actor, body: GenerateToolBody, is_gone: IsGone
) -> GeneratedToolBody:
    """Have a tool written, and once more where its schema cannot be derived.

    Raises:
        InvalidArgument: The name is none of a function, or the model's is no handle, or that of
            one that embeds.
        Conflict: The name is taken by a tool that comes with the server.
        NotFound: There is no such model.
        ModelError: There is no usable reply, or no tool in it.
    """
    check_function_name(body.tool_name)
    free_name(body.tool_name)
    entry = await find_writer(body.handle or _DEFAULT_MODEL, actor, parts.catalogue)
    faults, source = body.validation_errors, body.starter_code or ""
    wanted = Wanted(body.tool_name, body.prompt, source, faults)
    for _ in range(_ATTEMPTS):
        call = writing_request(entry.handle, wanted, window=entry.context_window)
        reply = await ask_model(parts, actor, call, agent_id=None, is_gone=is_gone)
        source = ""
        try:
            written = read_written(reply)
            source = written.source
            return await _judged(written, wanted, actor)
        except InvalidArgument as error:
            fault = error.message
            wanted = replace(wanted, source=source or wanted.source, faults=[fault])
    raise ModelError(
        "llm_error", "The model has written no tool that can be used.", detail=fault, status=502
    )


async def _judged(written: Written, wanted: Wanted, actor: Actor) -> GeneratedToolBody:
    """The tool as it would be stored.

    Raises:
        InvalidArgument: It could not be.
    """
    if len(written.source.encode()) > MAX_SOURCE_BYTES:
        raise InvalidArgument(f"the source is larger than {MAX_SOURCE_BYTES} bytes")
    schema = await derived_schema(written.source, "python")
    if schema["name"] != wanted.name:
        raise InvalidArgument(
            f"the last function of the source is {schema['name']}, and not {wanted.name}"
        )
    check(written.requirements)
    now = datetime.now(UTC)
    tool = StoredTool(
        id=new_id("tool"),
        organization_id=actor.organization_id,
        name=wanted.name,
        description=str(schema["description"]),
        source_code=written.source,
        json_schema=schema,
        pip_requirements=written.requirements or None,
        created_at=now,
        updated_at=now,
        created_by_id=actor.user_id,
        last_updated_by_id=actor.user_id,
    )
    return GeneratedToolBody(
        tool=ToolBody.of(tool), sample_args=written.sample_args, response=written.explanation
    )
