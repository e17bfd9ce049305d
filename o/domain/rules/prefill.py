"""The arguments that tool rules fill in, whatever the model writes."""

import json

from o.domain.json_bounds import parse_json
from o.domain.messages import ToolCall
from o.domain.rules.kinds import RuleState


def prefilled(call: ToolCall, rules: RuleState) -> ToolCall:
    """The call with the arguments that the rules prefill, which override those of the model.

    Arguments that are no JSON object stay as they are; running the tool then tells why not.
    """
    filled = rules.fills_in(call.name)
    if not filled:
        return call
    try:
        arguments = parse_json(call.arguments or "{}")
    except ValueError:
        return call
    if not isinstance(arguments, dict):
        return call
    kept = json.dumps(arguments | dict(filled), ensure_ascii=False)
    return call.model_copy(update={"arguments": kept})
