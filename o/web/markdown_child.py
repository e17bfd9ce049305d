"""A process that reads HTML and writes Markdown, so that no page can hurt the worker.

It reads a line of JSON, `{"base_url", "memory", "cpu_s"}`, then the HTML, and writes `{"title",
"text"}`. It is run by its path and imports nothing of ours.
"""

import json
import re
import resource
import sys

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n+", re.DOTALL)
_SCRIPT_LINK = re.compile(r"\]\(\s*(?:javascript|data|vbscript):[^)\s]*\)", re.IGNORECASE)
_MOST_LEVELS = 500


def main() -> None:
    """Convert one page."""
    asked = json.loads(sys.stdin.buffer.readline())
    resource.setrlimit(resource.RLIMIT_AS, (asked["memory"], asked["memory"]))
    resource.setrlimit(resource.RLIMIT_CPU, (asked["cpu_s"], asked["cpu_s"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    html = sys.stdin.buffer.read().decode("utf-8", "replace")
    # Not before the limits hold.
    from html_to_markdown import ConversionOptions, PreprocessingOptions, convert  # noqa: PLC0415

    options = ConversionOptions(
        base_url=asked["base_url"],
        inline_data_media="alt_text_only",
        max_depth=_MOST_LEVELS,
        preprocessing=PreprocessingOptions(),
    )
    found = convert(html, options)
    title = found.metadata.document.title if found.metadata else None
    text = _SCRIPT_LINK.sub("]", _FRONT_MATTER.sub("", found.content or ""))
    answer = json.dumps({"title": title or "", "text": text}, ensure_ascii=False)
    sys.stdout.buffer.write(answer.encode("utf-8", "replace"))


if __name__ == "__main__":
    main()
