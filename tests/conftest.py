"""What a run says at its end: what it skipped, and what would run it."""

import os
from collections import Counter

import pytest


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each reason, with the number of tests; pytest's own summary names them one by one."""
    reasons = Counter(skip_reason(report) for report in terminalreporter.getreports("skipped"))
    if reasons:
        terminalreporter.section("not run, and what would run it")
        for reason, tests in sorted(reasons.items()):
            terminalreporter.write_line(f"{tests:4} {'test' if tests == 1 else 'tests'}: {reason}")


def skip_reason(report: pytest.TestReport) -> str:
    """The text given to ``pytest.skip``."""
    text = report.longrepr[-1] if isinstance(report.longrepr, tuple | list) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


@pytest.fixture(autouse=True, scope="session")
def _plain_terminal() -> None:
    """Nothing of the terminal that runs the tests, nor the width that xdist gives its workers, shapes a table."""
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        os.environ.pop(name, None)
