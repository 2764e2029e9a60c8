"""The command line, and what it is given.

What needs an extra is imported by the fixture: where one is missing, tests are skipped.
"""

import pytest


@pytest.fixture
def run(capsys):
    """Run the command line; give its exit code, its output and its errors."""
    from skae.cli import main

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


@pytest.fixture
def refused(run):
    """Run what has to fail; give the one line that says why."""

    def refused(*arguments, code):
        found, out, err = run(*arguments)
        assert (found, out) == (code, "")
        (line,) = err.splitlines()
        return line

    return refused


@pytest.fixture
def csv(tmp_path):
    from .files import customers

    path = tmp_path / "customers.csv"
    customers().to_csv(path, index=False)
    return path


@pytest.fixture
def saved(run, csv, tmp_path):
    """A model of the customers."""
    from .files import QUICK

    path = tmp_path / "model.skops"
    assert run("fit", csv, "--out", path, *QUICK)[0] == 0
    return path
