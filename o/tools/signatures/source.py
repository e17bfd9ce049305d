"""The syntax tree of a tool's source, within bounds of time and memory; nothing of it is run."""

import ast
import re
import warnings

from o.domain.text import storable
from o.errors import InvalidArgument

MAX_SOURCE_CHARS = 1024 * 1024
MAX_TOKENS = 50_000
"""Words and signs. A tree takes up to 2 kB for each of them, and 25 microseconds."""
MAX_FIELD_WORK = 500_000_000
"""Braces times characters: Python 3.11 reads all of it again for each field of an f-string."""

_TOKEN = re.compile(r"\w+|[^\w\s]")
_F_STRING = re.compile(r"\b[rR]?[fF][rR]?['\"]")


def not_derived(reason: str) -> InvalidArgument:
    """The error of V1's routes for source that no schema follows from."""
    return InvalidArgument(f"Failed to derive json schema: {storable(reason)}")


def parse_source(source: str) -> ast.Module:
    """Parse Python.

    Raises:
        InvalidArgument: It is no Python, or more than a tool can be.
    """
    _bound(source)
    try:
        with warnings.catch_warnings():  # of its escapes; they would be printed
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except SyntaxError as error:
        where = f" (line {error.lineno})" if error.lineno else ""
        raise not_derived(f"the source is not valid Python: {error.msg}{where}") from None
    except (RecursionError, MemoryError):
        raise not_derived("the source is nested too deeply") from None
    except (ValueError, OverflowError, SystemError) as error:
        # NUL bytes, lone surrogates, columns beyond what the parser counts.
        raise not_derived(f"the source cannot be read: {error}") from None


def parse_annotation(text: str) -> ast.expr:
    """Parse an annotation that is written as a string.

    Raises:
        InvalidArgument: It is no expression.
    """
    if len(text) > 1000:
        raise not_derived("an annotation is longer than 1000 characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError, SystemError):
        raise not_derived(f"the annotation {text[:80]!r} is not valid Python") from None


def _bound(source: str) -> None:
    if len(source) > MAX_SOURCE_CHARS:
        raise not_derived(f"the source is longer than {MAX_SOURCE_CHARS} characters")
    for count, _ in enumerate(_TOKEN.finditer(source), 1):
        if count > MAX_TOKENS:
            raise not_derived(f"the source has more than {MAX_TOKENS} words and signs")
    if source.count("{") * len(source) > MAX_FIELD_WORK and _F_STRING.search(source):
        raise not_derived("the source has too many fields in f-strings for its length")
