"""What a refused command prints."""

from tclif_deploy.cli.main import run


def refused(capsys, *argv) -> str:
    """The one line that a refused command prints; it must leave exit code 2 and no traceback."""
    assert run([str(a) for a in argv]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.strip().splitlines()
    assert len(lines) == 1, printed.err
    assert lines[0].startswith("error: ")
    return lines[0]
