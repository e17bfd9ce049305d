"""Runs code as a notebook's cell runs it. This file is a job's source, and runs in sandboxes only.

Python 3.9 and its standard library are all that it needs.
"""

from __future__ import annotations

import ast
import json
import sys
import traceback
from typing import Any

_FILE = "<code>"
_MOST_CHARS = 100_000


def run_code(code: str) -> str:
    """Run code and say what its last expression gives, in JSON: `results`, and `error` if any."""
    space = {"__name__": "__main__", "__builtins__": __builtins__}
    try:
        value = _run(code, space)
        results = [] if value is None else [repr(value)[:_MOST_CHARS]]
        return json.dumps({"results": results})
    except SystemExit as end:
        if end.code in (None, 0):
            return json.dumps({"results": []})
        return json.dumps({"results": [], "error": f"SystemExit: {end.code}"})
    except BaseException as error:  # whatever code raises is its result
        sys.stderr.write(_trace(error))
        said = "".join(traceback.format_exception_only(type(error), error)).strip()
        return json.dumps({"results": [], "error": said[:_MOST_CHARS]})


def _run(code: str, space: dict[str, Any]) -> Any:
    tree = ast.parse(code, _FILE)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        tree.body.pop()
    exec(compile(tree, _FILE, "exec"), space)  # noqa: S102  what this file is for
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), _FILE, "eval"), space)  # noqa: S307


def _trace(error: BaseException) -> str:
    """The traceback without our own frames."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != _FILE:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))
