"""What a docstring says of a function and its arguments: Google's style, and the others in use."""

import inspect
from dataclasses import dataclass

from docstring_parser import parse

MAX_DOCSTRING_CHARS = 64 * 1024


@dataclass(frozen=True)
class Docstring:
    """The text before any section, and what is said of each argument."""

    description: str
    arguments: dict[str, str]


def read_docstring(text: str) -> Docstring:
    """Take a docstring apart. What cannot be is all description; repeats give the same."""
    text = inspect.cleandoc(text[:MAX_DOCSTRING_CHARS])
    try:
        parsed = parse(text)
    except Exception:  # the parser stumbles over odd texts in many ways
        return Docstring(text.strip(), {})
    arguments = {
        # Lists and emphasis are Markdown's, and common.
        (argument.arg_name or "").strip(" -*`"): argument.description.strip()
        for argument in parsed.params
        if argument.description and argument.description.strip()
    }
    return Docstring((parsed.description or "").strip(), arguments)
