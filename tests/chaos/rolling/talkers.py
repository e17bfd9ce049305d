"""Clients that bear restarts as the official one does by default, and read on where one is cut."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
from letta_client import APIError, APIStatusError, Letta

from tests.chaos.soak.clients import Kind, Said, Talker, Thread, judged
from tests.support.product import Product, eventually
from tests.support.provider import call, do, say

_KINDS: tuple[Kind, ...] = ("json", "tool", "tokens", "json", "tool")


@dataclass
class Met:
    """What clients met on their way, whether it was mended or not.

    Attributes:
        statuses: How many answers had which status.
        cuts: How many streams broke off, and were read on.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    cuts: int = 0

    def note(self, response: httpx.Response) -> None:
        """Count an answer."""
        self.statuses[response.status_code] += 1


class RollingTalker(Talker):
    """Asks twice more, as the official client does unless it is told otherwise."""

    pause_s = (0.5, 1.5)

    def __init__(self, product: Product, number: int, stop: threading.Event, met: Met) -> None:
        kind = _KINDS[number % len(_KINDS)]
        super().__init__(product, f"{kind} {number}", kind, Thread(), stop, "rolling")
        self._met = met
        http = httpx.Client(timeout=120, event_hooks={"response": [met.note]})
        self._client = Letta(base_url=product.url, api_key="unused", http_client=http)

    def _next(self, agent_id: str) -> Said:
        if self._kind == "tool":  # with a model that takes its time, so that there is work to cut
            mark = f"{self.name} {len(self.said)}"
            note = call("memory_insert", label="notes", new_string=mark) | {"delay_s": 0.2}
            text = do(note, say(f"noted {mark}") | {"delay_s": 0.2})
            return Said(agent_id, "tool", text, f"noted {mark}", mark)
        if self._kind == "tokens":  # longer than a process that is asked to stop lets it go on
            words = f"{self.name} {len(self.said)} " + " ".join(f"word{n}" for n in range(20))
            return Said(agent_id, "tokens", do(say(words) | {"pause_s": 0.15}), words, None)
        return super()._next(agent_id)

    def _send(self, said: Said) -> str:
        if self._kind != "tokens":
            return super()._send(said)
        stream: Any = self._client.agents.messages.create(
            said.agent_id, input=said.text, streaming=True, stream_tokens=True, background=True
        )
        heard = _Heard()
        while not heard.all_of(stream):
            if heard.run_id is None:
                return "cut before anything was heard"
            self._met.cuts += 1
            stream = self._client.runs.messages.stream(
                heard.run_id, starting_after=heard.last, timeout=120
            )
        return judged(heard.text, said)


class _Heard:
    """What a stream has brought, over all its pieces."""

    def __init__(self) -> None:
        self.run_id: str | None = None
        self.last = 0
        self._texts: dict[str, str] = {}

    @property
    def text(self) -> str:
        """The last message that is not void."""
        return list(self._texts.values())[-1] if self._texts else "nothing"

    def all_of(self, stream: Any) -> bool:
        """Read on; False where it breaks off."""
        is_whole = False
        try:
            for event in stream:
                self._take(event)
                is_whole = is_whole or event.message_type == "usage_statistics"
        except httpx.TransportError:
            return False
        except APIError as error:
            if isinstance(error, APIStatusError) and error.status_code != 200:
                raise
            return False  # an event of the stream said that it cannot go on
        return is_whole

    def _take(self, event: Any) -> None:
        self.run_id = getattr(event, "run_id", None) or self.run_id
        number = getattr(event, "seq_id", None)
        if number is not None and event.message_type != "ping":
            self.last = max(self.last, number)
        if event.message_type == "assistant_message":
            self._texts[event.id] = self._texts.get(event.id, "") + str(event.content)
        elif event.message_type == "event_message" and event.event_type == "retry":
            self._texts.pop(event.event_data["message_id"], None)


class Crowd:
    """So many talkers, each with an agent of its own."""

    def __init__(self, product: Product, count: int) -> None:
        self.met = Met()
        self._over = threading.Event()
        self._talkers = [RollingTalker(product, n, self._over, self.met) for n in range(count)]

    @property
    def said(self) -> list[Said]:
        """All that was said."""
        return [one for talker in self._talkers for one in list(talker.said)]

    def start(self) -> None:
        """Have all begin, and wait until each has had an answer."""
        for talker in self._talkers:
            talker.start()
        self._all_say_more(1)

    def hears_more(self) -> None:
        """Wait for so many answers more as there are talkers, whoever gets them."""
        wanted = sum(map(_answered, self._talkers)) + len(self._talkers)
        eventually(
            lambda: sum(map(_answered, self._talkers)) >= wanted, within_s=180, what="answers"
        )

    def goes_on(self) -> None:
        """Wait until each has had another answer to what it began to say from here on."""
        self._all_say_more(2)

    def stop(self) -> list[str]:
        """Have all come to an end; answers what went wrong for whom."""
        self._over.set()
        for talker in self._talkers:
            talker.join(120)
        broken = [f"{one.name} waits for ever" for one in self._talkers if one.is_alive()]
        broken += [f"{one.name}: {line}" for one in self._talkers for line in one.troubles]
        return broken + [
            f"{one.text[:60]!r}: {one.outcome or 'no answer'}"
            for one in self.said
            if one.outcome != "answered"
        ]

    def _all_say_more(self, count: int) -> None:
        wanted = {one: len(one.said) + count for one in self._talkers}

        def has_answers() -> bool:
            return all(_answered(one) >= number for one, number in wanted.items())

        try:
            eventually(has_answers, within_s=180, what="an answer for everyone")
        except AssertionError:
            late = [one.said[-1:] for one, number in wanted.items() if _answered(one) < number]
            raise AssertionError(f"these wait: {late}") from None


def _answered(talker: Talker) -> int:
    return sum(bool(one.outcome) for one in list(talker.said))
