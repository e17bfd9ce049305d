"""What a follower of a run is told, and when it must look for itself."""

from api.answers.watch import News
from o.domain.runs import EventKind, RunEvent


def event(seq: int) -> RunEvent:
    return RunEvent(run_id="run-1", seq=seq, attempt=1, kind=EventKind.MESSAGE, body={})


def seqs(news: News, after_seq: int) -> list[int] | None:
    taken = news.take(after_seq)
    return None if taken is None else [event.seq for event in taken]


def test_events_that_follow_what_is_known_are_taken_as_told() -> None:
    news = News()
    news.add([event(1)])
    news.add([event(2), event(3)])
    assert seqs(news, 0) == [1, 2, 3]
    assert seqs(news, 3) is None, "each is taken once"


def test_events_that_are_known_already_are_left_out() -> None:
    news = News()
    news.add([event(1), event(2), event(3)])
    assert seqs(news, 2) == [3]


def test_a_gap_is_never_jumped() -> None:
    for told, known in (([2], 0), ([1, 3], 0), ([5], 3)):
        news = News()
        news.add([event(seq) for seq in told])
        assert seqs(news, known) is None


def test_a_notice_without_events_makes_the_follower_look() -> None:
    news = News()
    news.add([])
    assert seqs(news, 0) is None
