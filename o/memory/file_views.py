"""What is seen of a file: numbered lines under a heading, as V1 shows them, within a limit."""

_WAY_ON = "open_files with an offset shows other lines, grep_files looks in all of them"


def lines_of(text: str) -> list[str]:
    """A file's lines, without what ends them. A line feed at the end begins none."""
    if not text:
        return []
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def file_view(
    text: str, *, first: int, total: int, start: int | None, end: int | None, limit_chars: int
) -> str:
    """A part of a file as V1 shows it, `visible_content`.

    Lines are those of the text, blank ones too; what is beyond the limit is left out at the end
    of a line, and the view says so.

    Args:
        text: From the beginning of line `first` on, as far as the limit goes at least.
        first: The number of its first line, from 1.
        total: Lines of the whole file.
        start: The first line that is wanted, None for the beginning.
        end: The last one, None for the end.
        limit_chars: How long the view may be, the heading not counted.
    """
    head = _heading(start, end, total)
    last = total if end is None else min(end, total)
    wanted = lines_of(text)[: max(0, last - first + 1)]
    if not wanted:
        gone = f"\n[There are no such lines: the file has {total}]" if start and total else ""
        return head + gone
    shown: list[str] = []
    room = limit_chars
    for number, line in enumerate(wanted, start=first):
        numbered = f"{number}: {line}"
        if len(numbered) + 1 > room:
            break
        shown.append(numbered)
        room -= len(numbered) + 1
    if len(shown) == last - first + 1:
        return "\n".join([head, *shown])
    return "\n".join([head, *_ended(shown, wanted, first, last, limit_chars)])


def shortened(view: str, limit_chars: int) -> str:
    """A view cut to fewer characters, which says so; as it is where it is not longer."""
    if len(view) <= limit_chars:
        return view
    kept = view[: max(0, limit_chars)]
    whole = kept.rpartition("\n")[0]
    kept = whole if "\n" in whole else kept  # the heading alone tells nothing
    return f"{kept}\n[Cut here, so that the open files fit the context window: {_WAY_ON}]"


def _heading(start: int | None, end: int | None, total: int) -> str:
    if (start is None or start == 1) and end is None:
        return f"[Viewing file start (out of {total} lines)]"
    until = "end" if end is None else str(end)
    return f"[Viewing lines {start or 1} to {until} (out of {total} lines)]"


def _ended(shown: list[str], wanted: list[str], first: int, last: int, limit: int) -> list[str]:
    """The lines of a view that does not reach its end. A long first line is cut by itself."""
    where = f"after line {first + len(shown) - 1}"
    if not shown:
        shown, where = [f"{first}: {wanted[0]}"[:limit]], f"inside line {first}"
    return [*shown, f"[Cut at {limit} characters, {where} of {last}: {_WAY_ON}]"]
