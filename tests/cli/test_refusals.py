"""Mistakes get one line that says what to do."""

import json
import zipfile

import numpy as np
import pytest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skae.cli.reading import read_table
from skae.cli.saying import say

from .files import sio, written


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\n ", "is empty"),
        ("a,b\n", "no rows"),
        ("a\n1\n2\n3\n4\n", "a single column"),
        ("a,b\n1,1\n1,1\n1,1\n1,1\n", "no column to learn from"),
        ("a,b\n1,2\n3,4,5\n", "not a table"),
        (bytes(range(256)) * 20, "neither text nor"),
        (b"PAR1" + bytes(range(256)), "cannot be read as a Parquet"),
        (b"\x93NUMPY\x01\x00garbage", "cannot be read as an array"),
        (b"PK\x03\x04garbage", "cannot be read as an archive"),
        ('[{"a": 1}, {"a": 2}]', "looks like JSON"),
        ('a,b\n"' + "x" * 200_000 + '",1\n', "is not a table: field larger"),
        (b"\x1f\x8bgarbage", "cannot be read as text"),
        ("a,b\n1,2\n2,1\n", "has 2 rows to learn from; it takes at least 4"),
    ],
)
@pytest.mark.parametrize("command", ["compare", "fit"])
def test_data_that_is_none(refused, tmp_path, content, said, command):
    path = written(tmp_path, "data.csv", content)
    more = ["--out", tmp_path / "model.skops"] if command == "fit" else []
    assert said in refused(command, path, *more, code=1)


def test_objects_are_not_unpickled(refused, tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object))
    line = refused("compare", tmp_path / "a.npy", code=1)
    assert "cannot be read as an array of numbers" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "name a command: compare, fit, transform or sample"),
        ("compair iris", "choose from compare, fit, transform, sample"),
        ("compare", "required: DATA"),
        ("compare nowhere.csv", "there is no file 'nowhere.csv'"),
        ("compare irsi", "did you mean 'iris'?"),
        ("compare skae_test_fiel", "did you mean 'skae_test_file'?"),
        ("compare https://where.org/data.csv", "download it first"),
        ("compare .", "'.' is a folder"),
        ("compare iris --target Species", "did you mean 'species'?"),
        ("compare iris --target specie", "did you mean 'species'?"),
        ("compare iris --target zzz", "there is sepal length (cm), sepal width (cm)"),
        ("compare iris --drop zzz", "argument --drop"),
        ("compare iris --n-components 9", "at most 4"),
        ("compare iris --n-components two", "'two' is not a whole number of 1 or more"),
        ("compare iris --n-components 0", "a whole number of 1 or more"),
        ("compare iris --methods pcaa", "choose from pca, autoencoder, vae"),
        ("compare iris --methods nmf", "nmf takes no numbers below 0"),
        ("compare iris --cv 1", "a whole number of 2 or more"),
        ("compare iris --cv 100", "at most 75"),
        ("compare iris --cv 500", "500 folds of 150 rows are too small"),
        ("compare iris --random-state 99999999999", "0 or more, at most 4294967295"),
        ("compare iris --out=", "'' names no folder"),
        ("compare iris --n-jobs 0", "-1, or a whole number of 1 or more"),
        ("compare iris --device abacus", "--device: 'abacus' is not a device"),
        ("compare iris --out skae_test_file", "name a folder"),
        ("compare iris --out skae_test_file/sub", "sub': not a directory"),
        ("compare iris --colour", "--colour (see skae compare --help)"),
        ("compare iris wine", "unrecognized arguments: wine"),
        ("fit iris", "required: --out"),
        ("fit iris --out no/where/m.skops", "there is no folder 'no/where'"),
        ("fit iris --out .", "name a file"),
        ("fit iris --out m.skops --n-components 5", "at most 4"),
        ("fit iris --out m.skops --n-components 1.5", "below 1, or auto"),
        ("fit iris --out m.skops --method pca --n-components auto", "or a share"),
        ("fit iris --out m.pkl", "'m.pkl' has to end in .skops"),
        ("fit skae_test_file --out skae_test_file", "has to end in .skops"),
        ("transform m.skops skae.csv --out skae.csv", "would be lost"),
        ("fit iris --out m.skops --method umap", "choose from autoencoder, vae, pca"),
        ("transform nowhere.skops iris", "no such file or directory: 'nowhere.skops'"),
        ("sample nowhere.skops", "no such file or directory: 'nowhere.skops'"),
        ("sample nowhere.skops -n 0", "a whole number of 1 or more"),
        ("sample nowhere.skops --out rows.xls", ".csv, .tsv, .parquet or .npy"),
    ],
)
def test_wrong_arguments_get_one_line(refused, monkeypatch, tmp_path, arguments, said):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "skae_test_file", "")
    written(tmp_path, "skae.csv", "a,b")
    line = refused(*arguments.split(), code=2)
    # Newer versions of argparse quote no choices.
    assert said in line or said in line.replace("'", "")


def test_a_file_that_is_no_model(refused, saved, tmp_path):
    content = saved.read_bytes()
    for name, damaged in {
        "empty": b"",
        "text": b"hello",
        "cut": content[: len(content) // 2],
        "other archive": b"PK\x05\x06" + bytes(18),
    }.items():
        path = written(tmp_path, "damaged.skops", damaged)
        line = refused("sample", path, code=1)
        assert "is not a model that skae saved" in line, name
    sio.dump(StandardScaler(), tmp_path / "scaler.skops")
    line = refused("sample", tmp_path / "scaler.skops", code=1)
    assert "holds StandardScaler, not a model" in line


def test_a_hostile_file_is_refused_before_anything_runs(refused, saved, tmp_path):
    harm, path = tmp_path / "harm", tmp_path / "hostile.skops"
    told = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode"}
    command = told | {"content": json.dumps(f"touch {harm}"), "is_json": True}
    arguments = {"__class__": "tuple", "__module__": "builtins"}
    arguments |= {"__loader__": "TupleNode", "content": [command]}
    hostile = {
        "__class__": "system",
        "__module__": "os",
        "__loader__": "ConstructorFromReduceNode",
        "content": arguments,
    }
    with zipfile.ZipFile(saved) as model, zipfile.ZipFile(path, "w") as file:
        for name in model.namelist():
            content = model.read(name)
            if name == "schema.json":
                schema = json.loads(content)
                schema["content"]["content"]["memory"] = hostile
                content = json.dumps(schema)
            file.writestr(name, content)
    line = refused("transform", path, "iris", code=1)
    assert "refused: it asks for os.system" in line
    assert not harm.exists()


def test_only_known_classes_are_opened(refused, tmp_path):
    from sklearn.preprocessing import FunctionTransformer

    path = tmp_path / "model.skops"
    sio.dump(Pipeline([("a", FunctionTransformer(read_table))]), path)
    assert "asks for skae.cli.reading.read_table" in refused("sample", path, code=1)


def test_indices_of_a_damaged_file_are_not_trusted(refused, tmp_path):
    path = tmp_path / "damaged.npz"
    indices = np.array([0, 10**9, 1, 0, 1] * 8, dtype=np.int32)
    parts = {"indices": indices, "indptr": np.arange(41), "data": np.ones(40)}
    np.savez(path, format=b"csr", shape=np.array([40, 2]), **parts)
    line = refused("fit", path, "--out", tmp_path / "model.skops", code=1)
    assert "cannot be read as an archive" in line


def test_an_archive_that_holds_no_table(refused, saved, tmp_path):
    path = tmp_path / "table.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("table.csv", "a,b\n1,2\n")
    assert "it holds no arrays; unpack it first" in refused("compare", path, code=1)
    assert "it is a model" in refused("transform", saved, saved, code=1)


def test_an_archive_of_many_names_lists_a_few(refused, tmp_path):
    path = tmp_path / "many.npz"
    np.savez(path, **{f"part{j:02}": np.ones(3) for j in range(40)})
    line = refused("compare", path, code=1)
    assert "part00" in line
    assert "part39" not in line


def test_without_standard_error_nothing_is_told_among_the_results(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr", None)
    say("a note")
    assert capsys.readouterr().out == ""
