"""What the scripted provider does when it is to write a tool."""

import json
import re
from typing import Any

Prompt = list[dict[str, Any]]
Action = dict[str, Any]

_TASK = "You write tools for AI agents."
_AGAIN = "It could not be used"


def writing_action(prompt: Prompt) -> Action | None:
    """What a model that writes tools is to do: the `do:` in its task holds it, else a plain tool.

    It takes the first action, and the last one where it is told what is wrong with a tool.
    """
    if not str(prompt[0]["content"]).startswith(_TASK):
        return None
    text = str(prompt[-1]["content"])
    told = re.search("^do:(.*)$", text, re.MULTILINE)
    if told is None:
        name = re.match(r"Write the tool (\w+)", text)
        return {"calls": [_handing_in(name[1] if name else "nameless")]}
    actions: list[Action] = json.loads(told[1])
    return actions[-1 if _AGAIN in text else 0]


def _handing_in(name: str) -> dict[str, str]:
    source = f'def {name}() -> str:\n    """Say yes."""\n    return "yes"\n'
    given = {"source_code": source, "sample_args_json": "{}", "explanation": "It says yes."}
    return {"name": "write_tool", "arguments": json.dumps(given)}
