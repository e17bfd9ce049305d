"""Pages as Markdown. It runs in the child alone; see `o.files.child`."""

import re
from typing import Final

from html_to_markdown import ConversionOptions, PreprocessingOptions, convert

from o.domain.text import storable
from o.files.codecs_loaded import load_codecs
from o.files.refusal import CannotRead
from o.web.charsets import decode_page

_MOST_LEVELS: Final = 500
_FRONT_MATTER: Final = re.compile(r"\A---\n.*?\n---\n+", re.DOTALL)
_NO_LINK: Final = re.compile(r"\]\(\s*(?:javascript|data|vbscript):[^)\s]*\)", re.IGNORECASE)

load_codecs()


def read_html(data: bytes) -> str:
    """A page as Markdown, decoded as browsers do.

    Raises:
        CannotRead: It has no text, but what its scripts would write.
    """
    text = markdown_of(decode_page(data, None))
    if data.strip() and not text.strip():
        raise CannotRead("No text was found in it, or it is nested too deeply.")
    return text


def markdown_of(html: str) -> str:
    """HTML as Markdown, without scripts, images' data and what leads nowhere."""
    options = ConversionOptions(
        inline_data_media="alt_text_only",
        max_depth=_MOST_LEVELS,
        preprocessing=PreprocessingOptions(),
    )
    found = convert(html, options).content or ""
    return storable(_NO_LINK.sub("]", _FRONT_MATTER.sub("", found)))
