"""Says which cells of the kill matrix ran, and how each went."""

import pytest

from tests.chaos.matrix import PROCESSES, SEED, WHOLE

_TEST = "test_kill_points.py::test_a_kill_costs_nothing["


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A table: seconds where it went well."""
    shown = {
        tuple(report.nodeid.partition("[")[2].rstrip("]").rsplit("-", 1)): _short(report)
        for kind in ("passed", "failed")
        for report in terminalreporter.stats.get(kind, [])
        if _TEST in report.nodeid and (report.when == "call" or report.failed)
    }
    if not shown:
        return
    chosen = "all of it" if WHOLE else f"a sample; O_KILL_SEED={SEED} takes the same one again"
    terminalreporter.section(f"kill matrix ({chosen})")
    terminalreporter.write_line(" " * 27 + "".join(f"{name:>11}" for name in PROCESSES))
    for case in dict.fromkeys(case for case, _ in shown):
        row = "".join(f"{shown.get((case, process), ''):>11}" for process in PROCESSES)
        terminalreporter.write_line(f"{case:<27}{row}")


def _short(report: pytest.TestReport) -> str:
    return f"{report.duration:.1f} s" if report.passed else "FAILED"
