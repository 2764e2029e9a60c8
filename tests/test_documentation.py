"""What the documentation says is run, found in the code, and complete."""

import ast
import doctest
import pathlib
import re
import warnings

import pytest
from public import public_names

from skae.cli import main

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.rst"))

pytestmark = pytest.mark.skipif(not PAGES, reason="the documentation is not here")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_says_is_so(page):
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        failed, _ = doctest.testfile(str(page), False, optionflags=options)
    assert not failed


def test_every_message_of_the_troubleshooting_is_one_that_the_code_gives():
    page = (DOCS / "troubleshooting.rst").read_text()
    messages = re.findall(r"^``(.+)``\n   ", page, flags=re.M)
    assert len(messages) > 15
    told = "\n".join(map(_strings_of, sorted((ROOT / "skae").rglob("*.py"))))
    # scikit-learn's, torch's and skops'.
    told += (
        "Input X contains NaN, CUDA out of memory, Untrusted types found in the file"
    )
    for message in messages:
        for piece in message.split("..."):
            assert piece.strip(" `") in told, message


def _strings_of(path):
    """All text in a file of Python, as it is shown; values are left out."""
    pieces = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            pieces.append(node.value)
        elif isinstance(node, ast.JoinedStr):
            constants = (v for v in node.values if isinstance(v, ast.Constant))
            pieces.append("".join(constant.value for constant in constants))
    return "\n".join(pieces)


def test_the_page_of_the_command_line_has_every_command(capsys):
    main(["--help"])
    listed = capsys.readouterr().out.partition("COMMAND\n")[2].partition("\n\n")[0]
    commands = re.findall(r"^    (\w+)", listed, re.M)
    assert "compare" in commands
    page = (DOCS / "command_line.rst").read_text()
    assert re.findall(r"^\.\. command-help:: (\w+)$", page, re.M) == commands


def test_every_public_name_is_in_the_api():
    listed = set(re.findall(r"^   ([A-Za-z_]+)$", (DOCS / "api.rst").read_text(), re.M))
    assert {name.rpartition(".")[2] for name in public_names()} <= listed


def test_the_links_of_the_front_page_lead_somewhere():
    page = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", page) + re.findall(
        r'src(?:set)?="(.+?)"', page
    )
    here = [link for link in links if "://" not in link]
    assert len(here) > 5
    assert [link for link in here if not (ROOT / link).exists()] == []
