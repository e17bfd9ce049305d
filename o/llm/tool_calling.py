"""Whether a model calls tools itself or is held to JSON (`o.llm.requests.json_tools`)."""

from contextlib import suppress

from o.domain.llm import DeltaSink, ModelReply, ModelRequest
from o.errors import ModelError
from o.llm.careful import Ask, complete_carefully
from o.llm.providers.providers import Provider
from o.llm.requests.fitted import FittedRequest
from o.llm.requests.json_tools import NOTE, SETTING, JsonSink, as_json, read_json
from o.llm.requests.learnt import Learnt, key_of
from o.llm.requests.refusals import calls_no_tools
from o.llm.requests.ways import Ways

_BY_JSON = "tools in words"
"""The lesson that a model calls no tools."""


async def complete(
    provider: Provider,
    model: str,
    request: ModelRequest,
    learnt: Learnt,
    ask: Ask,
    on_delta: DeltaSink | None,
) -> ModelReply:
    """Ask as the request's settings say; unless they do, as the model is known to need it.

    Args:
        provider: Who is asked.
        model: Which model there.
        request: What is asked.
        learnt: What is known of models.
        ask: Sends one request.
        on_delta: Takes the pieces of a streamed reply.

    Raises:
        ModelError: There is no usable reply.
    """
    asked = request.settings.get(SETTING)
    key = key_of(request.organization_id, provider, model)

    async def carefully(request: ModelRequest, ask: Ask, sink: DeltaSink | None) -> ModelReply:
        ways = Ways(provider, model, request, learnt, streams=sink is not None)
        return await complete_carefully(ways, ask, sink)

    if not request.tools or asked == "native":
        return await carefully(request, ask, on_delta)
    if asked != "json_schema" and _BY_JSON not in learnt.of(key):
        with suppress(_CallsNoneError):
            return await carefully(request, _noticing(ask), on_delta)
    sink = JsonSink(on_delta) if on_delta else None
    reply = read_json(await carefully(as_json(request), ask, sink))
    if sink is not None:
        await sink.finish(reply)
    if asked != "json_schema":
        await learnt.learn(key, frozenset({_BY_JSON}))
    return reply.model_copy(update={"notes": [NOTE, *reply.notes]})


class _CallsNoneError(Exception):
    """A refusal that says that no tools are called: no other care would help."""


def _noticing(ask: Ask) -> Ask:
    async def noticing(fitted: FittedRequest, sink: DeltaSink | None) -> ModelReply:
        try:
            return await ask(fitted, sink)
        except ModelError as error:
            if calls_no_tools(error):
                raise _CallsNoneError from error
            raise

    return noticing
