"""What an agent reads of a page: Markdown of HTML, and text as it is."""

from o.errors import ToolFailed
from o.web.charsets import decode_page
from o.web.markdown import MarkdownProcesses
from o.web.pages import Page

_MOST_CHARS = 50_000
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_TEXT = frozenset(
    {
        "application/json",
        "application/xml",
        "application/javascript",
        "application/x-ndjson",
        "application/yaml",
        "application/x-yaml",
        "application/toml",
        "application/sql",
    }
)
_SAYS_NOTHING = frozenset(
    {"", "application/octet-stream", "binary/octet-stream", "unknown/unknown"}
)
_BINARY = (b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"PK\x03\x04", b"\x1f\x8b", b"\x7fELF", b"RIFF")


async def read_page(page: Page, markdown: MarkdownProcesses) -> str:
    """The text of a page.

    Raises:
        ToolFailed: It is none that can be read, in words for the model.
    """
    kind = _kind(page)
    text = decode_page(page.body.data, page.charset, is_cut=page.body.is_cut)
    if kind == "html":
        found = await markdown.convert(text, page.url)
        text = found.text.strip()
        if found.title and found.title not in text[:500]:
            text = f"# {found.title}\n\n{text}"
    if not text.strip():
        raise ToolFailed(
            "The page holds no text to read. It may be made by scripts, which are not run here."
        )
    return _shortened(text, is_cut=page.body.is_cut)


def _kind(page: Page) -> str:
    """`html` or `text`, by what the server says and by how it begins.

    Raises:
        ToolFailed: It is neither.
    """
    data, said = page.body.data, page.content_type
    begins = data[:1_024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if begins.startswith(b"%PDF-") or said == "application/pdf":
        raise ToolFailed("The page is a PDF, which cannot be read here. Look for it as HTML.")
    is_wide = (
        data.startswith((b"\xff\xfe", b"\xfe\xff")) or "utf-16" in (page.charset or "").lower()
    )
    if begins.startswith(_BINARY) or (b"\0" in data[:4_096] and not is_wide):
        raise ToolFailed(f"The page is no text but {said or 'something binary'}.")
    if said in _HTML:
        return "html"
    if said.startswith("text/") or said in _TEXT or said.endswith(("+json", "+xml")):
        return "text"
    if said in _SAYS_NOTHING:
        return "html" if begins[:1] == b"<" and b"<?xml" not in begins[:5] else "text"
    raise ToolFailed(f"The page is no text but {said[:100]}.")


def _shortened(text: str, *, is_cut: bool) -> str:
    left_out = len(text) - _MOST_CHARS
    if left_out > 0:
        return f"{text[:_MOST_CHARS]}\n\n[The page goes on: {left_out} characters are left out.]"
    return f"{text}\n\n[The page is too large, and its end is left out.]" if is_cut else text
