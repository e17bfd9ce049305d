"""`o status`: how the server stands, at a glance. All of it is what /metrics says."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import click
from prometheus_client.parser import text_string_to_metric_families

from o.log import printable
from o.settings.all import Settings
from server.api_client.address import address_of_api
from server.api_client.answers import NoAnswer, ask

_PATIENCE_S = 10.0
_FOREIGN = "what answers there is no server of O"

Sample = tuple[str, Mapping[str, str], float]


@dataclass(frozen=True)
class Status:
    """What was found.

    Attributes:
        url: Where the API was asked.
        problem: Why there is nothing else; empty where the API answered.
        database: Whether it answers the API.
        temporal: Likewise.
        temporal_prepared: Whether its namespace has O's search attributes, without which no turn
            begins; None where it does not tell.
        processes: Those that answer, each with the bytes of memory it takes.
        workers: How many polled Temporal within the last minute, on whatever machine; None where it
            does not tell.
        oldest_task_s: How long a task has waited for a worker; None where Temporal does not tell.
        open_turns: How many wait and run; None while the database is away.
        oldest_waiting_s: How long the first that waits has, and not for a person.
        approvals: How many wait for an answer; None while the database is away.
        oldest_approval_s: How long the first of them has.
        turns: Turns that ended since the processes began, by why.
        model_calls: The same of calls of models, by what came of them.
        tokens: By direction.
        mean_s: Seconds that the parts of a turn take on average.
        swept: What sweepers put right, by duty.
        connections: Of all pools: used, and the most that there may be.
    """

    url: str
    problem: str = ""
    release: str = ""
    database: bool = False
    temporal: bool = False
    temporal_prepared: bool | None = None
    processes: dict[str, int] = field(default_factory=dict)
    workers: int | None = None
    oldest_task_s: float | None = None
    open_turns: dict[str, int] | None = None
    oldest_waiting_s: float | None = None
    approvals: int | None = None
    oldest_approval_s: float | None = None
    turns: dict[str, int] = field(default_factory=dict)
    model_calls: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    mean_s: dict[str, float] = field(default_factory=dict)
    swept: dict[str, int] = field(default_factory=dict)
    connections: tuple[int, int] = (0, 0)

    @property
    def is_well(self) -> bool:
        """Whether turns go on: all parts answer, and there is a worker, here or elsewhere."""
        has_worker = bool(self.workers) or any(one.startswith("worker") for one in self.processes)
        begins = self.temporal and self.temporal_prepared is not False
        return not self.problem and self.database and begins and has_worker


def show(settings: Settings, url: str | None, *, as_json: bool) -> bool:
    """Print how the server stands; answers whether it is well."""
    found = asyncio.run(look(settings, address_of_api(settings, url)))
    if as_json:
        click.echo(json.dumps({**vars(found), "is_well": found.is_well}, indent=2))
    else:
        click.echo("\n".join(map(printable, lines(found))))
    return found.is_well


async def look(settings: Settings, url: str) -> Status:
    """Ask the API at `url` once; that it does not answer is a status as well."""
    token = settings.metrics_token or settings.api_token
    said = None if token is None else token.get_secret_value()
    try:
        answer = await ask(f"{url}/metrics", within_s=_PATIENCE_S, token=said)
    except NoAnswer as error:
        return Status(url, str(error))
    if answer.status == 401:
        return Status(url, "it wants O_METRICS_TOKEN or O_API_TOKEN")
    if answer.status != 200:
        return Status(url, f"it answers {answer.status} to /metrics")
    try:
        families = text_string_to_metric_families(answer.body.decode())
        return status_of(
            url, [(s.name, s.labels, s.value) for one in families for s in one.samples]
        )
    except (ValueError, LookupError, OverflowError):  # figures and labels that O's are not
        return Status(url, _FOREIGN)


def status_of(url: str, samples: list[Sample]) -> Status:
    """What the samples of /metrics say."""
    if not any(name == "o_process_up" for name, _, _ in samples):
        return Status(url, _FOREIGN)
    alone = {name: value for name, said, value in samples if not said}
    memory = _by("process_resident_memory_bytes", "process", samples)
    names = _by("o_process_up", "process", samples)
    release = next((said["version"] for name, said, _ in samples if name == "o_build_info"), "")
    is_counted = "o_pending_approvals" in alone
    return Status(
        url=url,
        release=release,
        database=bool(alone.get("o_database_answers")),
        temporal=bool(alone.get("o_temporal_answers")),
        temporal_prepared=None
        if (told := alone.get("o_temporal_prepared")) is None
        else bool(told),
        processes={name: memory.get(name, 0) for name in sorted(names)},
        workers=int(alone["o_workers"]) if "o_workers" in alone else None,
        oldest_task_s=alone.get("o_oldest_task_seconds"),
        open_turns=_by("o_open_turns", "status", samples) if is_counted else None,
        oldest_waiting_s=alone.get("o_oldest_waiting_turn_seconds"),
        approvals=int(alone["o_pending_approvals"]) if is_counted else None,
        oldest_approval_s=alone.get("o_oldest_approval_seconds"),
        turns=_by("o_turns_total", "outcome", samples),
        model_calls=_by("o_model_calls_total", "outcome", samples),
        tokens=_by("o_tokens_total", "direction", samples),
        mean_s=_means(samples),
        swept=_by("o_swept_total", "duty", samples),
        connections=(
            _sum(samples, "o_database_connections", state="used"),
            _sum(samples, "o_database_connections_max"),
        ),
    )


def _by(name: str, label: str, samples: Iterable[Sample]) -> dict[str, int]:
    """The sums of all processes, by a label."""
    sums: dict[str, float] = {}
    for found, said, value in samples:
        if found == name and label in said:
            sums[said[label]] = sums.get(said[label], 0) + value
    return {key: int(value) for key, value in sums.items()}


def _sum(samples: Iterable[Sample], name: str, **labels: str) -> int:
    return int(
        sum(
            value
            for found, said, value in samples
            if found == name and all(said.get(key) == one for key, one in labels.items())
        )
    )


def _means(samples: Iterable[Sample]) -> dict[str, float]:
    """What the parts of a turn take on average; those that have not been are left out."""
    sums: dict[str, list[float]] = {}
    for name, said, value in samples:
        kind = {"o_turn_part_seconds_sum": 0, "o_turn_part_seconds_count": 1}.get(name)
        if kind is not None:
            sums.setdefault(said["part"], [0.0, 0.0])[kind] += value
    return {part: round(took / count, 4) for part, (took, count) in sums.items() if count}


def lines(found: Status) -> list[str]:
    """A status as it is shown."""
    if found.problem:
        return [_line("API", f"{found.url}: {found.problem}")]
    memory = ", ".join(f"{name} {size >> 20} MiB" for name, size in found.processes.items())
    shown = [
        _line("API", f"{found.url} answers, release {found.release}"),
        _line("database", "answers" if found.database else "AWAY: requests get 503 meanwhile"),
        _line("Temporal", _temporal(found)),
        _line("processes", memory if found.processes else "none"),
        _line("turns", _turns(found)),
        _line("approvals", _approvals(found)),
        _line("ended", _counts(found.turns)),
        _line("model calls", _counts(found.model_calls)),
        _line("tokens", _counts(found.tokens)),
        _line("on average", ", ".join(f"{part} {s:.3f} s" for part, s in found.mean_s.items())),
        _line("swept", _counts(found.swept)),
        _line("connections", "{} of {} in use".format(*found.connections)),
    ]
    if found.workers is not None:
        text = f"{found.workers} polled within the last minute, on all machines"
        shown.insert(4, _line("workers", text if found.workers else "NONE: turns wait for one"))
    if found.oldest_task_s is not None:
        shown.insert(4, _line("queue", f"the oldest task waits {found.oldest_task_s:.1f} s"))
    return shown


def _temporal(found: Status) -> str:
    if not found.temporal:
        return "AWAY: messages are kept meanwhile"
    if found.temporal_prepared is False:
        return "LACKS O's search attributes: no turn begins until `o migrate` is run"
    return "answers"


def _turns(found: Status) -> str:
    if found.open_turns is None:
        return "not known while the database is away"
    text = _counts(found.open_turns, even_none=True)
    if found.oldest_waiting_s:
        text += f"; the first has waited {_span(found.oldest_waiting_s)}"
    return text


def _approvals(found: Status) -> str:
    if found.approvals is None:
        return "not known while the database is away"
    if not found.approvals:
        return "none pending"
    return f"{found.approvals} pending, the first for {_span(found.oldest_approval_s or 0)}"


def _counts(counts: Mapping[str, int], *, even_none: bool = False) -> str:
    shown = [f"{count:,} {name}" for name, count in counts.items() if count or even_none]
    return ", ".join(shown) or "none"


def _span(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _line(name: str, text: str) -> str:
    return f"{name:12} {text or 'none'}"
