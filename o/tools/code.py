"""The built-in tool that runs code which a model wrote; the sandbox runs it."""

from o.domain.llm import ToolSpec
from o.tools.tool import Arguments, RunElsewhere, Tool, schema, string

_SPEC = ToolSpec(
    name="run_code",
    description="Run code in a sandbox. Each call begins with nothing: no variable and no file of "
    "an earlier one is there. Returns what the last expression gives and what was printed.",
    parameters=schema(
        {
            "code": string("The code, whole."),
            "language": string(
                "Its language.", enum=["python", "js", "ts", "r", "java"], default="python"
            ),
        },
        ["code", "language"],
    ),
    tool_type="letta_builtin",
)


class RunCodeArguments(Arguments):
    """Arguments of `run_code`."""

    code: str
    language: str = "python"


RUN_CODE: Tool = RunElsewhere(
    _SPEC, "The code was not run: it is run in the turns of agents, not from here."
)
