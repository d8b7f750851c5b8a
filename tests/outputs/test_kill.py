"""Commands that are killed at a random moment lose nothing; `tests.outputs.kill` does the same by hundreds."""

import pytest

from tests.outputs import kill


@pytest.mark.slow
def test_a_dozen_random_kills_leave_the_old_or_the_new():
    assert kill.run(12, seed=20261129) == []
