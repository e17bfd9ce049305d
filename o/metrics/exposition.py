"""The text that Prometheus reads: a process's own, with its name, and several put together."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest

# When a series began: as many series again, and nothing reads them.
disable_created_metrics()  # type: ignore[no-untyped-call]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def text_of(registry: CollectorRegistry) -> str:
    """All that is in a registry."""
    return generate_latest(registry).decode()


def named(text: str, process: str) -> str:
    """The same series, each with the name of the process that they are of."""
    label = f'process="{process}"'
    return "\n".join(_with_label(line, label) for line in text.splitlines())


def _with_label(line: str, label: str) -> str:
    if not line or line.startswith("#"):
        return line
    # Neither a name nor a number holds a brace or a space, so the first of them ends the name.
    end = next((place for place, char in enumerate(line) if char in "{ "), len(line))
    if line[end : end + 1] == "{":
        between = "" if line[end + 1 : end + 2] == "}" else ","
        return f"{line[:end]}{{{label}{between}{line[end + 1 :]}"
    return f"{line[:end]}{{{label}}}{line[end:]}"


def together(texts: Iterable[str]) -> str:
    """Several texts as one: all series of a name below one head, as the format wants them."""
    heads: dict[str, list[str]] = {}
    series: dict[str, list[str]] = {}
    for text in texts:
        family = ""
        for line in text.splitlines():
            if line.startswith("# "):
                _, _, family, *_ = line.split(" ", 3)
                head = heads.setdefault(family, [])
                kind = line.split(" ", 2)[1]
                if not any(known.split(" ", 2)[1] == kind for known in head):
                    head.append(line)
            elif line:
                series.setdefault(family, []).append(line)
    lines = (line for family in series for line in (*heads.get(family, ()), *series[family]))
    return "\n".join(lines) + "\n"


def only(text: str, names: Iterable[str]) -> str:
    """What a text has of some families."""
    wanted = frozenset(names)
    kept: list[str] = []
    is_kept = False
    for line in text.splitlines():
        if line.startswith("# "):
            is_kept = line.split(" ", 3)[2] in wanted
        if is_kept:
            kept.append(line)
    return "\n".join(kept)
