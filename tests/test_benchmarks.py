"""The benchmarks' own books: what is kept of a run, and what of one cut short."""

import argparse
import contextlib
import csv
import pathlib

import pytest

from benchmarks import likelihood, quality, time_to_quality
from benchmarks.contenders import Case
from benchmarks.ledger import Ledger
from benchmarks.notes import Notes
from skae import AutoencoderTransformer


def ledger_of(path, **options):
    return Ledger(path, ("name",), ("error",), **options)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_ledger_goes_on_with_the_rows_of_its_options(tmp_path):
    path = tmp_path / "found.csv"
    ledger_of(path, max_rows=10).add(name="a", error=0.5)
    ledger = ledger_of(path, max_rows=20)
    assert (ledger.rows, ledger.has(name="a")) == ([], False)
    ledger.add(name="a", error=0.25)
    first, second = (ledger_of(path, max_rows=n).rows for n in (10, 20))
    assert [row["error"] for row in (*first, *second)] == ["0.5", "0.25"]
    assert rows_of(path) == first + second


def test_a_ledger_reads_what_is_older_than_an_option_and_adds_nothing(tmp_path):
    path = tmp_path / "found.csv"
    ledger_of(path).add(name="a", error=0.5)
    ledger = ledger_of(path, max_rows=20)
    assert ledger.has(name="a")
    with pytest.raises(SystemExit, match="name another file"):
        ledger.has(name="b")
    with pytest.raises(SystemExit, match="name another file"):
        ledger.add(name="b", error=0.5)


@pytest.mark.parametrize(
    ("left", "n_rows"),
    [("", 0), ("name,er", 0), ("name,error\r\n", 0), ("name,error\r\na,1\r\nb,0.", 1)],
)
def test_a_ledger_goes_on_where_a_write_was_cut_short(left, n_rows, tmp_path):
    path = tmp_path / "found.csv"
    path.write_text(left, newline="")
    ledger = ledger_of(path)
    assert len(ledger.rows) == n_rows
    assert path.read_bytes() == left.encode()
    ledger.add(name="b", error=2)
    assert rows_of(path) == ledger_of(path).rows == ledger.rows
    assert len(ledger.rows) == n_rows + 1


def test_notes_that_are_cut_short_replace_none(tmp_path, capsys):
    path = tmp_path / "notes.txt"
    with Notes(path) as notes:
        notes.add("the whole")
    whole = path.read_text()
    with contextlib.suppress(KeyboardInterrupt), Notes(path):
        raise KeyboardInterrupt
    assert path.read_text() == whole
    assert whole.endswith("the whole\n")


def test_contenders_train_on_the_device_of_the_case(monkeypatch):
    case = Case("iris", (4,), 2, 16, 1, device="meta")
    monkeypatch.setattr(AutoencoderTransformer, "fit", lambda self, X: self)
    assert time_to_quality.skae_defaults(None, case).device == "meta"


def test_fewer_rows_are_not_taken_for_all(tmp_path):
    path = tmp_path / "quality.csv"
    options = argparse.Namespace(
        out=path,
        names=["wine"],
        scalings=["raw"],
        components=[2],
        seeds=[0],
        methods=["PCA"],
    )
    for max_rows in (80, 120, 120):
        options.max_rows = max_rows
        lines = quality.run(options)
    assert [line["rows"] for line in lines] == ["90"]
    assert [line["rows"] for line in rows_of(path)] == ["60", "90"]


@pytest.mark.parametrize("max_rows", [2000, 20000])
def test_the_kept_results_can_be_gone_on_with(max_rows):
    results = pathlib.Path(quality.__file__).parent / "results"
    path = results / f"quality_{max_rows}_rows.csv"
    ledger = Ledger(path, quality.KEY, quality.VALUES, max_rows=max_rows)
    assert ledger.header == ledger.columns
    assert len(ledger.rows) == len(rows_of(path))


@pytest.mark.parametrize("name", quality.METHODS)
def test_every_method_of_the_benchmark_is_made_as_it_takes_its_parameters(name):
    model = quality.METHODS[name](2, 0)
    getattr(model, "network", model)._validate_params()


@pytest.mark.parametrize("changed", ["--continuous", "--max-rows 120"])
def test_a_likelihood_by_other_options_is_not_taken_for_what_was_asked(
    changed, tmp_path
):
    path = tmp_path / "tables.csv"
    asked = f"tables --names wine --models PCA --components 2 --out {path}"
    for more in ("", changed):
        rows = likelihood.run_tables(likelihood.parse(f"{asked} {more}".split())).rows
    assert (len(rows), rows) == (1, rows_of(path)[1:])


@pytest.mark.parametrize("ignored", ["samples --components 2", "mnist --plots here"])
def test_no_option_is_taken_that_a_part_does_not_read(ignored):
    part, option, value = ignored.split()
    assert likelihood.parse([part, "--quick"]).part == part
    with pytest.raises(SystemExit):
        likelihood.parse([part, option, value])
    assert likelihood.parse(["counts", option, value]).part == "counts"
