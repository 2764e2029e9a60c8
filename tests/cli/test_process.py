"""The process: Ctrl-C, help, terminals, pipes, disks."""

import errno
import io
import os
import re
import signal
import subprocess
import sys

import pytest

from skae.cli import main

from .files import QUICK


def test_an_interrupt_ends_the_command(run, monkeypatch, tmp_path):
    """Also where a fit would keep its best weights and go on with the next."""

    def interrupted(self, *_, **__):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            return self
        return self

    monkeypatch.setattr("skae.AutoencoderTransformer.fit", interrupted)
    before = signal.getsignal(signal.SIGINT)
    out = tmp_path / "model.skops"
    code, said, err = run("fit", "iris", "--out", out)
    assert (code, said) == (130, "")
    assert err.splitlines()[-1] == "skae: interrupted"
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("room", ["skae.cli", "sklearn", "torch", "torch.nn", "rich"])
def test_an_interrupt_ends_the_command_while_it_is_imported(room):
    code = f"""
import signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "{room}":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv = ["skae", "compare", "no such file"]
from skae.__main__ import main
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "skae: interrupted\n")


def test_a_missing_extra_is_named(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    line = refused("compare", "iris", code=1)
    assert line == 'skae: the command line needs pandas: pip install "skae[cli]"'


def test_a_missing_extra_is_named_before_anything_is_fitted(
    refused, monkeypatch, tmp_path
):
    monkeypatch.setitem(sys.modules, "skops.io", None)
    line = refused("fit", "no such data", "--out", tmp_path / "model.skops", code=1)
    assert line == 'skae: saved models need skops: pip install "skae[cli]"'
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    line = refused("compare", "iris", "--out", "nowhere", code=1)
    assert 'pip install "skae[plot]"' in line
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    line = refused("transform", "none", "iris", "--out", "codes.parquet", code=1)
    assert line == 'skae: writing Parquet needs pyarrow: pip install "skae[cli]"'


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize(
    "command", [[], ["compare"], ["fit"], ["transform"], ["sample"]]
)
def test_help_has_examples_and_fits_a_terminal(run, command, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, err = run(*command, "--help")
    assert (code, err) == (0, "")
    text, examples = out.split("examples:\n")
    assert max(map(len, text.splitlines()[1:])) <= min(width, 88)
    assert "  skae " in examples


@pytest.mark.parametrize("width", [40, 60, 80])
def test_all_of_a_table_is_read_on_a_terminal_of_any_width(run, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("rich._console", None)  # which knows the width it was made at
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    code, out, _ = run("compare", "iris", "--n-components", 1, "--cv", 2, *QUICK)
    lines = re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", out).splitlines()
    assert code == 0
    assert "…" not in out.split("method", 1)[1]
    words = " ".join(lines).split()
    for heading in ("variance", "accuracy", "trustworthiness", "seconds"):
        assert heading in words
    assert max(map(len, lines[-30:])) <= width
    assert ("\x1b[3" in out) is False  # no colour, as was asked


def test_a_folder_that_cannot_be_written_to_is_refused_at_once(
    refused, monkeypatch, tmp_path
):
    monkeypatch.setattr("os.access", lambda *_: False)
    for command, out in (("compare", tmp_path), ("fit", tmp_path / "m.skops")):
        line = refused(command, "iris", "--out", out, code=2)
        assert f"no permission to write in {str(tmp_path)!r}" in line


def test_a_file_that_may_not_be_read(refused, monkeypatch, csv):
    def locked(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.open", locked)
    assert refused("compare", csv, code=1) == f"skae: permission denied: {str(csv)!r}"


@pytest.mark.parametrize(
    "arguments",
    ["sample {} -n 20000", "compare iris --n-components 1 --cv 2 --max-iter 1"],
)
def test_a_reader_that_has_seen_enough_is_no_error(
    saved, monkeypatch, capsys, arguments
):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

        def fileno(self):
            return spare.fileno()

    with open(os.devnull, "w") as spare:
        monkeypatch.setattr(sys, "stdout", Closed())
        code = main([*arguments.format(saved).split()])
    assert code == 0
    assert "skae" not in capsys.readouterr().err


def test_a_full_disk_is_said_in_one_line(saved, monkeypatch, capsys):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    capsys.readouterr()
    assert main(["sample", str(saved)]) == 1
    assert capsys.readouterr().err == "skae: no space left on device\n"


def test_a_file_that_cannot_be_written_whole_is_named(
    saved, refused, monkeypatch, tmp_path
):
    def write(self, path, **_):
        path.write_text("a")
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr("pandas.DataFrame.to_csv", write)
    out = tmp_path / "rows.csv"
    line = refused("sample", saved, "--out", out, code=1)
    assert line == f"skae: file too large: {str(out)!r}"
    assert list(tmp_path.glob("*rows*")) == []


def test_an_output_that_is_closed_is_missed_only_where_it_is_needed(
    saved, csv, monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(sys, "stdout", None)
    out = tmp_path / "codes.csv"
    assert main(["transform", str(saved), str(csv), "--out", str(out)]) == 0
    capsys.readouterr()
    for command in (["sample", str(saved)], ["compare", "iris"]):
        assert main(command) == 2
        assert "standard output, where the results go, is" in capsys.readouterr().err


def test_a_pipe_that_is_closed_ends_the_process_quietly(saved):
    command = f"{sys.executable} -m skae sample {saved} -n 20000 | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (done.stdout.startswith("age,"), done.stderr) == (True, "")
