"""What `o up` says, when nobody is there any more to read it."""

import contextlib
import os
import sys

import pytest

from server.up.console import Screen


def test_a_line_that_nobody_reads_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    gone = os.fdopen(writer, "w")
    with pytest.raises(BrokenPipeError):
        print("x", file=gone, flush=True)
    monkeypatch.setattr(sys, "stdout", gone)
    Screen().say("stopping")
    with contextlib.suppress(BrokenPipeError):
        gone.close()
