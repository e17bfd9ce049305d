"""The machine that does to an agent whatever clients, operators and deaths may do."""

import itertools
import time
from dataclasses import replace
from typing import Any, ClassVar

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.chaos.fuzz import promises
from tests.chaos.fuzz.answers import FORMS, is_blind, message_of, note, turned
from tests.chaos.fuzz.posts import How
from tests.chaos.fuzz.world import TOOLS, Sent, World
from tests.support.product import Product
from tests.support.provider import FakeProvider

_DRAINED_S = 90.0
KILLS = 1
"""How many processes die in one example, at most."""
UPSETS = ("reset", "run", "conversation", "attach", "detach", "kill", "kill")

places = st.integers(0, 1)
hows: st.SearchStrategy[How] = st.sampled_from(("json", "stream", "tokens", "async", "leave"))
policies = st.sampled_from((None, None, "queue", "reject", "interrupt"))
steps = st.lists(st.lists(st.sampled_from(TOOLS), min_size=1, max_size=3), min_size=1, max_size=2)
delays = st.sampled_from((0.0, 0.0, 0.05, 0.3))
counts = st.sampled_from((None, "anew", "one"))
verdicts = st.lists(st.sampled_from(("approve", "deny", "return")), min_size=3, max_size=3)
anything = st.integers(0, 1_000)

Step = tuple[str, dict[str, Any]]
"""What is done, and how."""


def _step(name: str, **options: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(name), st.fixed_dictionaries(options))


_sending = {"place": places, "how": hows, "policy": policies, "rests": st.booleans()}
_acting = _step("act", steps=steps, delay_s=delays, ids=counts, **_sending)
_deciding = _step(
    "decide",
    place=places,
    how=hows,
    form=st.sampled_from(FORMS),
    verdicts=verdicts,
    says_more=st.booleans(),
    rests=st.booleans(),
)
_deciding_all = _step("decide_all", place=places, how=hows, verdicts=verdicts)

# One rule of many kinds: of several rules, Hypothesis leaves most out of each example.
anything_done = st.one_of(
    *(_acting, _acting, _deciding, _deciding, _deciding_all, _deciding_all),
    _step("say", **_sending),
    _step("repeat_an_answer", which=anything, same=st.booleans()),
    _step("repeat_a_send", which=anything),
    _step(
        "end_it",
        how=st.sampled_from(("agent", "thread", "run", "expire")),
        place=places,
        which=anything,
        rests=st.booleans(),
    ),
    _step("upset", what=st.sampled_from(UPSETS), which=anything, rests=st.booleans()),
)


def must_be_nothing(broken: list[str]) -> None:
    """Fail with what is broken."""
    assert not broken, "\n".join(broken)


class Control(RuleBasedStateMachine):
    """One agent, two conversations, and clients who do as they like."""

    product: ClassVar[Product]
    provider: ClassVar[FakeProvider]

    @initialize(first=steps, second=steps, ids=counts)
    def begin(self, first: list[list[str]], second: list[list[str]], ids: str | None) -> None:
        """Both conversations wait for something from the beginning, as a rule."""
        self.world = World(self.product)
        self.kills = KILLS
        self.problems_before = len(self.provider.problems)
        for thread, wanted in zip(self.world.threads, (first, second), strict=True):
            self.world.act(thread, "async", wanted, 0.0, ids)

    @rule(what=anything_done)
    def step(self, what: Step) -> None:
        """One thing that somebody does."""
        name, options = what
        getattr(self, name)(**options)

    def act(
        self,
        place: int,
        how: How,
        policy: str | None,
        steps: list[list[str]],
        delay_s: float,
        ids: str | None,
        rests: bool,
    ) -> None:
        """Send a message that makes the model call tools."""
        more = {"busy_policy": policy} if policy else {}
        self.world.act(self.world.threads[place], how, steps, delay_s, ids, **more)
        self.look(rests=rests)

    def say(self, place: int, how: How, policy: str | None, rests: bool) -> None:
        """Send a message that the model just answers."""
        more = {"busy_policy": policy} if policy else {}
        self.world.say(self.world.threads[place], how, **more)
        self.look(rests=rests)

    def decide(
        self,
        place: int,
        how: How,
        form: str,
        verdicts: list[str],
        says_more: bool,
        rests: bool,
    ) -> None:
        world, thread = self.world, self.world.threads[place]
        message = message_of(world, thread, form, verdicts)
        if message is None:
            return
        world.answer(thread, how, message, f"behind it {len(world.sent)}" if says_more else "")
        self.look(rests=rests)

    def decide_all(self, place: int, how: How, verdicts: list[str]) -> None:
        self.decide(place, how, "each", verdicts, says_more=False, rests=True)

    def repeat_an_answer(self, which: int, same: bool) -> None:
        """The same answer gets the same reply; another one changes nothing that was decided."""
        world = self.world
        found = [one for one in world.sent if one.kind == "answer"]
        if not found:
            return
        sent = found[which % len(found)]
        first = sent.post.result(90)
        world.settle()
        before = self._decided()
        message = sent.post.request.body["messages"][0]
        message = message | {"otid": f"again-{which}"} if same else turned(message)
        note(world, message)
        is_first = same and sent.thread not in world.gone and self._made_the_run(sent)
        second = world.again(sent, sent.post.request.body | {"messages": [message]}).result(90)
        is_refused = second.status in (400, 404, 409, 422 if is_blind(message) else 409)
        assert second.status == 200 or is_refused, second
        after = self._decided()
        changed = [id_ for id_, decided in before.items() if after.get(id_, decided) != decided]
        must_be_nothing(changed)
        if is_first and not world.lost_runs:
            assert second.status == 200, second
            is_same = (second.texts, second.stop_reason) == (first.texts, first.stop_reason)
            assert is_same, (first, second)
            assert sent.post.request.how != "json" or second == first, (first, second)
        self.look()

    def repeat_a_send(self, which: int) -> None:
        """A client posts again what it has posted before."""
        found = [one for one in self.world.sent if one.kind != "answer"]
        sent = found[which % len(found)]
        self.world.arrived(sent)
        again = self.world.again(sent, sent.post.request.body)
        self.world.sent.append(replace(sent, post=again))
        self.look()

    def end_it(self, how: str, place: int, which: int, rests: bool) -> None:
        """Cancel what is open and what waits, or let its time be over."""
        world, thread = self.world, self.world.threads[place]
        if how == "expire":
            world.expire(thread)
        else:
            world.cancel(how, thread, which)
        self.look(rests=rests)

    def upset(self, what: str, which: int, rests: bool) -> None:
        """What is rarer: something that is in use goes, for a while or for good."""
        match what:
            case "reset":
                self.world.reset(with_initial=which % 2 == 0)
            case "run":
                self.world.delete_run(which)
            case "conversation":
                self.world.replace_conversation()
            case "attach" | "detach":
                self.world.change_tools(what)
            case _:
                self._kill(which)
        self.look(rests=rests)

    def look(self, *, rests: bool = False) -> None:
        """What holds at any moment; with `rests`, wait for the end of all that is under way."""
        if rests:
            self.world.settle()
        self.world.observe()
        must_be_nothing(promises.unapproved(self.world))
        must_be_nothing(self.provider.problems[self.problems_before :])

    def teardown(self) -> None:
        """Whatever was done: all is answered, every conversation takes the next message."""
        if not hasattr(self, "world"):
            return
        try:
            self._drain()
            for thread in self.world.threads:
                sent = self.world.say(thread, "json")
                answer = sent.post.result(60)
                assert answer.texts == [f"You said: {sent.text}"], answer
            must_be_nothing(promises.broken(self.world))
            self.look()
        finally:
            self.world.close()

    def _drain(self) -> None:
        """Answer what waits, one way and the other, until every client has its answer."""
        deadline = time.monotonic() + _DRAINED_S
        for verdict in itertools.cycle(("approve", "deny", "return")):
            under_way = [sent for sent in self.world.sent if sent.post.is_alive()]
            self.world.settle()
            self.world.await_shown()
            waiting = [one for one in self.world.threads if self.world.waiting(one)]
            if not waiting and not under_way:
                return
            assert time.monotonic() < deadline, [one.post.request for one in under_way]
            for thread in waiting:
                message = message_of(self.world, thread, "each", [verdict] * 9)
                if message is not None:
                    self.world.answer(thread, "json", message).post.result(60)
            if under_way and not waiting:
                under_way[0].post.join(0.1)

    def _kill(self, which: int) -> None:
        """Each death costs a second or two, so there are few."""
        if self.kills == 0:
            return
        self.kills -= 1
        names = [name for name, pid in self.product.state["processes"].items() if pid]
        self.product.kill(names[which % len(names)])

    def _decided(self) -> dict[str, Any]:
        """The decisions of requests that are closed, which nothing may change any more."""
        return dict(
            self.product.query(
                "SELECT id, decisions FROM approvals WHERE agent_id = %s AND status <> 'pending'",
                self.world.agent.id,
            )
        )

    def _made_the_run(self, sent: Sent) -> bool:
        """Whether this answer made the run that carries on, of a request that is the newest."""
        newest = self.product.query(
            "SELECT r.request_key, a.status FROM approvals a "
            "LEFT JOIN runs r ON r.id = a.answer_run_id "
            "WHERE a.conversation_id = %s ORDER BY a.created_at DESC LIMIT 1",
            sent.thread.id,
        )
        return newest == [(f"otid:{sent.otid}", "decided")]
