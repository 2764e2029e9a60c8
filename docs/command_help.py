"""The help of the commands, as the command line gives it."""

import contextlib
import io
import os
from unittest import mock

from docutils import nodes
from docutils.parsers.rst import Directive

from skae.cli import main


class CommandHelp(Directive):
    """``.. command-help:: compare``: what ``skae compare --help`` says."""

    optional_arguments = 1

    def run(self):
        said = io.StringIO()
        width = mock.patch.dict(os.environ, COLUMNS="80", NO_COLOR="1")
        with width, contextlib.redirect_stdout(said):
            main([*self.arguments, "--help"])
        return [nodes.literal_block(text=said.getvalue(), language="none")]


def setup(app):
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
