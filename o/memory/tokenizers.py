"""The tokenizers of OpenAI's models. Their tables lie in litellm's package: nothing is downloaded.

litellm itself is not imported for them. A table takes some 50 MB and a quarter of a second, so it
is loaded when a prompt is near the end of its window, and not before.
"""

import base64
import hashlib
import logging
import re
import types
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

_log = logging.getLogger(__name__)
_NAMES: Final = (
    (re.compile(r"(gpt-4o|gpt-4\.[1-9]|gpt-[5-9]|gpt-oss|chatgpt|codex|o[1-9]\b)"), "o200k_base"),
    (re.compile(r"gpt-(4|3\.?5)"), "cl100k_base"),
)
# The pattern of a tokenizer gives up, with a panic that is no `Exception`, on a few hundred
# thousand spaces; what is cut in two is a token more.
_PIECE_CHARS: Final = 16_384


def tokenizer_of(model: str) -> str | None:
    """The name of a model's tokenizer, None where it is not known or its table is not here.

    Args:
        model: A handle. Behind a gateway's name and a maker's, OpenAI's models keep theirs.
    """
    name = model.rpartition("/")[2].lower().removeprefix("ft:")
    found = next((encoding for known, encoding in _NAMES if known.match(name)), None)
    return found if found and _tables() else None


def count_exactly(encoding: str, text: str) -> int | None:
    """The tokens of a text, None where the table cannot be read.

    Takes long for long texts and lets other threads run meanwhile.
    """
    encode = _encoder(encoding)
    if encode is None:
        return None
    if len(text) <= _PIECE_CHARS:
        return len(encode(text))
    pieces = range(0, len(text), _PIECE_CHARS)
    return sum(len(encode(text[start : start + _PIECE_CHARS])) for start in pieces)


@cache
def _tables() -> Path | None:
    """Where the tables are; finding the package does not import it."""
    spec = find_spec("litellm")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "litellm_core_utils" / "tokenizers"
    return path if path.is_dir() else None


@cache
def _encoder(encoding: str) -> Callable[[str], list[int]] | None:
    """What makes tokens of a text; what is not as it should be is tried once."""
    try:
        return _loaded(encoding)
    except (OSError, ValueError, ImportError, AttributeError) as error:
        _log.warning(
            "the tokens of OpenAI's models are estimated: a table cannot be read",
            extra={"encoding": encoding, "reason": str(error)},
        )
        return None


def _loaded(encoding: str) -> Callable[[str], list[int]]:
    import tiktoken  # noqa: PLC0415 - most workers never need it
    from tiktoken_ext import openai_public  # noqa: PLC0415

    # What makes an encoding asks a function of its module for the table, which would download it.
    made_by = getattr(openai_public, encoding)
    own = types.FunctionType(
        made_by.__code__, vars(openai_public) | {"load_tiktoken_bpe": _read_table}
    )
    parts: dict[str, Any] = own()
    made = tiktoken.Encoding(**parts)
    parts["mergeable_ranks"].clear()  # the encoding has made its own of it; this is half of all
    return made.encode_ordinary


def _read_table(url: str, expected_hash: str | None = None) -> dict[bytes, int]:
    """A table, by the address that it has elsewhere.

    Raises:
        ValueError: It is not what the tokenizer expects.
        OSError: It is not there.
    """
    name = hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
    data = ((_tables() or Path()) / name).read_bytes()
    if hashlib.sha256(data).hexdigest() != expected_hash:
        raise ValueError(f"the table of {url} is damaged: install litellm again")
    lines = (line.split() for line in data.splitlines())
    return {base64.b64decode(token): int(rank) for token, rank in filter(None, lines)}
