"""Where windows are cut: calls stay with their returns, and what was asked stays."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from o.domain.compaction import CompactionSettings
from o.domain.messages import Message, Role, TextPart, ToolCall, ToolReturn
from o.memory.compaction import excerpts, fit_tokens, plan_compaction, text_tokens, with_request
from o.memory.summaries import packed_summary, unpacked_summary
from o.memory.summariser import transcript_request
from o.memory.window import cut_window
from tests.unit.test_context import AGENT, NOW


def message(n: int, role: Role, text: str = "x", **more: Any) -> Message:
    return Message(
        id=f"message-{n}",
        organization_id="org-1",
        agent_id="agent-1",
        conversation_id="conv-1",
        position=n + 1,
        role=role,
        parts=[TextPart(text=text)],
        created_at=NOW,
        **more,
    )


def calling(n: int, *ids: str, run_id: str | None = None) -> Message:
    calls = [ToolCall(id=one, name="t", arguments="{}") for one in ids]
    return message(n, Role.ASSISTANT, tool_calls=calls, run_id=run_id, step_id=f"step-{n}")


def returned(n: int, call_id: str) -> Message:
    content = ToolReturn(tool_call_id=call_id, name="t", status="success", content="r")
    return message(n, Role.TOOL, tool_return=content)


def talk(turns: int) -> list[Message]:
    return [message(n, (Role.USER, Role.ASSISTANT)[n % 2]) for n in range(2 * turns)]


def test_the_newest_messages_that_fit_stay() -> None:
    window = talk(10)
    cut = cut_window(window, [10] * 20, goal=100)
    assert (cut.at, cut.request) == (10, ())


def test_a_window_gives_up_two_fifths_at_least() -> None:
    assert cut_window(talk(10), [10] * 20, goal=190).at == 8


def test_calls_are_not_parted_from_their_returns() -> None:
    window = [message(0, Role.USER), calling(1, "a", "b"), returned(2, "a"), returned(3, "b")]
    window += [message(4, Role.ASSISTANT), message(5, Role.USER)]
    assert cut_window(window, [10] * 6, goal=40).at == 4
    assert cut_window(window, [10] * 6, goal=50).at == 4, "two fifths would be inside"


def test_calls_that_have_no_return_yet_stay() -> None:
    window = [*talk(2), calling(4, "a", "b"), returned(5, "b")]
    for keep_none in (False, True):
        assert cut_window(window, [10] * 6, goal=0, keep_none=keep_none).at == 4


def test_calls_that_never_returned_keep_nothing() -> None:
    window = [message(0, Role.USER), calling(1, "lost"), *talk(3)]
    assert cut_window(window, [10] * 8, goal=0, keep_none=True).at == 8


def test_what_was_asked_of_the_run_stays_until_it_was_answered() -> None:
    asked = message(4, Role.USER, run_id="run-1")
    window = [*talk(2), asked]
    for keep_none in (False, True):
        cut = cut_window(window, [10] * 5, goal=0, keep_none=keep_none, run_id="run-1")
        assert (cut.at, cut.request) == (4, ())
    assert cut_window([asked], [10], goal=0, run_id="run-1").at == 0


def test_a_run_that_fills_the_window_by_itself_gives_up_its_oldest_steps() -> None:
    asked = message(0, Role.USER, "do it", run_id="run-1")
    window = [asked]
    for n in range(1, 21, 2):
        window += [calling(n, f"c{n}", run_id="run-1"), returned(n + 1, f"c{n}")]
    cut = cut_window(window, [10] * 21, goal=100, run_id="run-1")
    assert (cut.at, cut.request) == (11, (asked,))
    early = cut_window([*talk(5), *window[:5]], [10] * 15, goal=50, run_id="run-1")
    assert (early.at, early.request) == (10, ()), "what is older goes first"


@st.composite
def windows(draw: st.DrawFn) -> list[Message]:
    made: list[Message] = []
    for turn in range(draw(st.integers(0, 8))):
        made.append(message(len(made), Role.USER, run_id=f"run-{turn}"))
        for _ in range(draw(st.integers(0, 3))):
            ids = [f"call-{len(made)}-{n}" for n in range(draw(st.integers(1, 3)))]
            made.append(calling(len(made), *ids, run_id=f"run-{turn}"))
            for id_ in draw(st.permutations(ids)):
                if draw(st.integers(0, 9)):
                    made.append(returned(len(made), id_))
        if draw(st.booleans()):
            made.append(message(len(made), Role.ASSISTANT))
    return made


@given(windows(), st.integers(0, 400), st.booleans(), st.booleans())
def test_no_cut_parts_what_belongs_together(
    window: list[Message], goal: int, keep_none: bool, is_running: bool
) -> None:
    run_id = window[-1].run_id if window and is_running else None
    cut = cut_window(window, [10] * len(window), goal=goal, keep_none=keep_none, run_id=run_id)
    gone, kept = window[: cut.at], window[cut.at :]
    made = {call.id for one in gone for call in one.tool_calls}
    assert not made & {one.tool_return.tool_call_id for one in kept if one.tool_return}
    newest = [one for one in window if one.role in (Role.USER, Role.ASSISTANT)][-1:]
    answered = {one.tool_return.tool_call_id for one in window if one.tool_return}
    if newest and not {call.id for call in newest[0].tool_calls} <= answered:
        assert newest[0] in kept
    if run_id is not None:
        asked = [one for one in window if one.run_id == run_id and one.role is Role.USER]
        assert all(one in kept or one in cut.request for one in asked)


def small(window: int) -> Any:
    return AGENT.model_copy(update={"context_window": window})


def test_what_is_kept_and_its_summary_leave_the_share_that_is_to_be_free() -> None:
    window = [message(n, (Role.USER, Role.ASSISTANT)[n % 2], "word " * 40) for n in range(60)]
    settings = CompactionSettings()
    plan = plan_compaction(small(2_000), window, settings, fixed=300)
    assert plan.kept_tokens + plan.summary_tokens <= 0.7 * 2_000
    assert plan.kept_tokens > 1_000 - 300, "not more than need be"


def test_counting_by_the_provider_goes_before_ours() -> None:
    window = [message(n, (Role.USER, Role.ASSISTANT)[n % 2], "word " * 40) for n in range(60)]
    ours = plan_compaction(small(3_000), window, CompactionSettings(), fixed=300)
    dearer = plan_compaction(
        small(3_000), window, CompactionSettings(), fixed=300, counted=2 * ours.before
    )
    assert dearer.cut.at > ours.cut.at
    assert dearer.scale == 2


def test_a_refused_prompt_shrinks_whatever_the_window_is_said_to_be() -> None:
    window = [message(n, (Role.USER, Role.ASSISTANT)[n % 2], "word " * 40) for n in range(60)]
    plan = plan_compaction(
        small(1_000_000), window, CompactionSettings(), fixed=100, counted=4_000, refused=True
    )
    assert plan.kept_tokens + plan.summary_tokens <= 0.7 * 0.7 * 4_000


@given(st.text(max_size=3_000), st.integers(80, 800))
def test_a_text_is_cut_to_its_tokens(text: str, most: int) -> None:
    fitted = fit_tokens(text, most)
    assert text_tokens(fitted) <= max(most, text_tokens(""))
    assert fitted == text or text.startswith(fitted[:1])


@given(st.text(max_size=200))
def test_a_packed_summary_can_be_read_back(summary: str) -> None:
    stats = {"trigger": "manual", "messages_count_before": 9}
    packed = packed_summary(summary, hidden=3, stats=stats, now=NOW, timezone="UTC")
    assert unpacked_summary(packed) == (summary, stats) or not summary


def test_a_text_that_is_no_packed_summary_stands_for_itself() -> None:
    for text in ("", "plain", "[]", '"a"', "{}", "null", "9" * 5_000):
        assert unpacked_summary(text) == (text, None)


def test_what_stands_for_no_summary_has_the_newest_first_and_an_earlier_summary() -> None:
    gone = [message(n, Role.USER, f"said {n}") for n in range(100)]
    text = excerpts(AGENT, gone, "They like tea.")
    assert text.index("said 99") < text.index("said 98")
    assert "said 3\n" not in text
    assert text.endswith("They like tea.")


def test_a_transcript_is_clipped_to_what_its_reader_can_read() -> None:
    gone = [message(n, Role.USER, f"{n} " + "word " * 500) for n in range(200)]
    plan = plan_compaction(small(8_000), gone, CompactionSettings(), fixed=100)
    request = transcript_request(
        AGENT, "c/x", gone, CompactionSettings(), before="Earlier.", plan=plan, window=4_000
    )
    assert sum(text_tokens(one["content"]) for one in request.prompt) < 4_000
    text = request.prompt[-1]["content"]
    assert "Earlier." in text
    assert text.count("user: 199 ") == 1, "the newest is there"


def test_the_request_under_way_stands_behind_the_summary_word_by_word() -> None:
    asked = message(0, Role.USER, "Sort the list, then stop.", run_id="run-1")
    plan = plan_compaction(small(8_000), [asked, *talk(3)], CompactionSettings(), fixed=10)
    assert with_request("Sum.", [asked], plan).endswith("Sort the list, then stop.")


def test_settings_of_earlier_releases_that_make_no_sense_are_left_out() -> None:
    settings = CompactionSettings.of({"mode": "some", "clip_chars": 7, "prompt": None, "x": 1})
    assert (settings.mode, settings.clip_chars) == ("sliding_window", 7)
