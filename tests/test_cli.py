"""The command line, as its users meet it: their files, their mistakes, their Ctrl-C."""

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

pd = pytest.importorskip("pandas")
pytest.importorskip("rich")
sio = pytest.importorskip("skops.io")

from skae.cli import comparing, main  # noqa: E402
from skae.cli.reading import read_table  # noqa: E402
from skae.cli.report import findings  # noqa: E402
from skae.cli.saving import load_pipeline  # noqa: E402
from skae.cli.tables import TableEncoder, read_target  # noqa: E402
from skae.comparison.result import COSTS, QUALITIES, Comparison  # noqa: E402

QUICK = ["--max-iter", "2"]


@pytest.fixture
def run(capsys):
    """Run the command line; give its exit code, its output and its errors."""

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


def customers(n_rows=80):
    """Strings, dates, missing values, a constant column: a table as people have it."""
    rng = np.random.default_rng(0)
    age = rng.integers(18, 80, n_rows).astype(float)
    table = pd.DataFrame(
        {
            "customer_id": np.arange(n_rows) * 7 + 1000,
            "email": [f"user{i}@example.org" for i in range(n_rows)],
            "age": age,
            "income": (800 + 30 * age + rng.normal(0, 100, n_rows)).round(2),
            "city": rng.choice(["Lima", "Oslo", "Rome"], n_rows),
            "joined": pd.date_range("2021-03-01", periods=n_rows)
            .strftime("%d/%m/%Y")
            .to_numpy(),
            "active": rng.choice([True, False], n_rows),
            "country": "Utopia",
            "churned": np.where(age + rng.normal(0, 5, n_rows) > 50, "yes", "no"),
        }
    )
    table.loc[3, "age"] = np.nan
    table.loc[[4, 9], "city"] = None
    table.loc[7, "joined"] = None
    return table


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "customers.csv"
    customers().to_csv(path, index=False)
    return path


@pytest.fixture
def saved(run, csv, tmp_path):
    """A model of the customers."""
    path = tmp_path / "model.skops"
    assert run("fit", csv, "--out", path, *QUICK)[0] == 0
    return path


# ------------------------------------------------------------------------- compare


def test_compare_says_what_became_of_each_column(run, csv):
    arguments = ["--target", "churned", "--methods", "pca", "--n-components", "2"]
    code, out, err = run("compare", csv, *arguments)
    assert code == 0
    assert "PCA" in out
    assert "accuracy" in out
    assert err.splitlines() == [
        "customers.csv: 80 rows, 9 columns",
        "2 numbers: age, income, standardised",
        "1 date: joined (days since 2021-03-01)",
        "2 categories: city (4 values), active (2 values), one-hot",
        "missing, filled with the median: age (1), joined (1)",
        "missing, as a category of its own: city (2)",
        "left out, constant: country",
        "left out, an identifier: every value differs: customer_id, email",
        "target: churned (2 classes)",
    ]


def test_compare_writes_a_folder_that_needs_nothing_else(run, tmp_path):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "deep" / "report"
    arguments = ["--n-components", 1, 2, "--cv", 2, "--methods", "autoencoder", *QUICK]
    code, out, _ = run("compare", "iris", *arguments, "--out", folder)
    assert code == 0
    results = pd.read_csv(folder / "results.csv")
    assert results["estimator"].tolist() == ["PCA", "Autoencoder"] * 2
    assert len(pd.read_csv(folder / "folds.csv")) == 8
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2 * page.count("<img")
    assert page.count("<img") == len(list(folder.glob("*.png"))) >= 6
    assert "prefers-color-scheme: dark" in page
    assert "://" not in page
    assert "<script" not in page
    assert f"{results['explained_variance_mean'][0]:.3f}" in page
    assert f"{results['explained_variance_mean'][0]:.3f}" in out


def test_compare_gives_the_numbers_of_its_table(run, tmp_path):
    """Standardised rows, explained variance of those held out: by hand."""
    pytest.importorskip("matplotlib")
    arguments = ["--methods", "pca", "--n-components", 2, "--cv", 3, "--out", tmp_path]
    assert run("compare", "wine", *arguments)[0] == 0
    folds = pd.read_csv(tmp_path / "folds.csv")
    table = read_table("wine")
    X = StandardScaler().fit_transform(table.frame.drop(columns=table.target))
    y = table.frame[table.target]
    splitter = comparing.StratifiedKFold(3, shuffle=True, random_state=0)
    by_hand = []
    for train, test in splitter.split(X, y):
        pca = PCA(2).fit(X[train])
        decoded = pca.inverse_transform(pca.transform(X[test]))
        by_hand.append(r2_score(X[test], decoded, multioutput="variance_weighted"))
    np.testing.assert_allclose(folds["explained_variance"], by_hand, atol=1e-9)


def test_pixels_are_not_standardised_and_none_is_left_out(run):
    arguments = ["--methods", "pca", "--n-components", 8, "--cv", 2]
    code, out, err = run("compare", "digits", *arguments)
    assert code == 0
    assert "64 numbers" in err
    assert "standardised" not in err
    assert "left out" not in err
    assert "0.66" in out  # PCA of raw pixels; of standardised ones it is 0.56


def test_a_parquet_of_counts_by_a_number(run, tmp_path):
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    counts = pd.DataFrame(
        rng.poisson(3, (60, 6)), columns=[f"gene {i}" for i in "abcdef"]
    )
    counts["dose"] = rng.normal(size=60) + counts["gene a"]
    counts.to_parquet(tmp_path / "counts.parquet")
    arguments = ["--target", "dose", "--methods", "pca", "--n-components", 2]
    code, out, err = run("compare", tmp_path / "counts.parquet", *arguments)
    assert code == 0
    assert "R²" in out
    assert "target: dose (a number)" in err


def test_a_sparse_matrix_is_compared_as_the_dense_one(run, tmp_path):
    X = sp.random_array((60, 12), density=0.3, rng=np.random.default_rng(0))
    sp.save_npz(tmp_path / "sparse.npz", X.tocsr())
    np.save(tmp_path / "dense.npy", X.toarray())
    arguments = ["--n-components", 2, "--cv", 2, *QUICK]
    found = {}
    for name in ("sparse.npz", "dense.npy"):
        code, out, err = run("compare", tmp_path / name, *arguments)
        assert code == 0
        assert "60 rows, 12 columns" in err
        found[name] = [line.split()[:4] for line in out.splitlines() if " 2 " in line]
    assert len(found["sparse.npz"]) == 3
    assert found["sparse.npz"] == found["dense.npy"]


def test_a_sparse_matrix_too_large_to_be_written_out(refused, tmp_path):
    huge = sp.csr_array(([1.0], ([0], [0])), shape=(10**6, 10**6))
    sp.save_npz(tmp_path / "huge.npz", huge)
    line = refused("compare", tmp_path / "huge.npz", code=1)
    assert "(1000000, 1000000) numbers do not fit as a dense table" in line


def test_every_method_is_compared_on_a_table_as_people_have_it(run, csv):
    arguments = ["--target", "churned", "--n-components", 2, "--cv", 2, *QUICK]
    methods = ["pca", "autoencoder", "vae", "kernel-pca", "ica"]
    code, out, err = run("compare", csv, *arguments, "--methods", *methods)
    assert code == 0
    for name in ("PCA", "Autoencoder", "VAE", "KernelPCA", "FastICA"):
        assert f"\n{name} " in out
    assert "left out, constant: country" in err


def test_a_column_without_any_value_is_said_to_be_one(run, tmp_path):
    table = pd.DataFrame({"a": [1.0, 2, 4, 8], "b": [3, 1, 2, 0.5], "c": np.nan})
    path = written(tmp_path, "gaps.csv", table.to_csv(index=False))
    out = tmp_path / "model.skops"
    code, _, err = run("fit", path, "--method", "pca", "--out", out)
    assert code == 0
    assert "left out, without any value: c" in err
    assert "constant" not in err


def test_some_rows_of_a_large_table_are_drawn(run, tmp_path):
    arguments = ["--methods", "pca", "--n-components", 2, "--max-rows", 60]
    _, out, err = run("compare", "wine", *arguments)
    assert "compared on 60 of the 178 rows, drawn at random" in err
    assert run("compare", "wine", *arguments[:-2])[1] != out


def test_a_fit_that_fails_is_a_row_that_says_why(run, monkeypatch):
    def fail(self, X, y=None, **_):
        raise ValueError("no luck today")

    monkeypatch.setattr("skae.AutoencoderTransformer.fit", fail)
    arguments = ["--methods", "pca", "autoencoder", "--n-components", 1, "--cv", 2]
    code, out, _ = run("compare", "iris", *arguments)
    assert code == 0
    assert "Autoencoder, 1 component: " in out
    assert "no luck today" in out


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (
            0.6,
            "explains 60.0% of the variance of unseen rows, PCA 50.0%; it leaves 80%",
        ),
        (
            0.9996,
            "explains 99.96% of the variance of unseen rows, PCA 50.0%; it leaves",
        ),
        (0.9999, "it leaves less than 1% of PCA's squared error"),
        (0.4, "explains 40.0% of the variance of unseen rows, less than PCA's 50.0%."),
    ],
)
def test_what_is_found_is_said_in_a_sentence(share, said):
    folds = {
        "estimator": np.repeat(["PCA", "VAE"], 3),
        "n_components": np.full(6, 2),
        "fold": np.tile(np.arange(3), 2),
        "explained_variance": np.repeat([0.5, share], 3) + np.tile([0, 1e-9, 2e-9], 2),
        "error": np.full(6, ""),
    }
    nothing = dict.fromkeys(QUALITIES + COSTS, np.full(6, np.nan))
    summary = Comparison(nothing | folds, reference="PCA", test_ratio=0.5).summary()
    (sentence,) = findings(summary)
    assert said in sentence


def test_sizes_are_chosen_by_the_table(csv):
    def chosen(n_columns, n_rows=100):
        rows = type("Rows", (), {"X": np.empty((n_rows, n_columns))})
        return comparing.choose_widths(None, 5, rows)

    assert chosen(64) == [2, 8, 32]
    assert chosen(32) == [2, 8]
    assert chosen(5) == [1, 2, 4]
    assert chosen(2) == [1]
    assert chosen(64, n_rows=12) == [2, 8]


# ------------------------------------------------------------ fit, transform, sample


@pytest.mark.parametrize("method", ["autoencoder", "vae", "pca"])
def test_fit_transform_and_sample(run, csv, tmp_path, method):
    model = tmp_path / "model.skops"
    more = [] if method == "pca" else QUICK
    code, out, err = run(
        "fit", csv, "--out", model, "--method", method, "--n-components", 3, *more
    )
    assert (code, out) == (0, "")
    assert f"saved as {model}" in err

    code, out, _ = run("transform", model, csv)
    codes = pd.read_csv(io.StringIO(out))
    assert code == 0
    assert codes.shape == (80, 3)
    np.testing.assert_allclose(codes, load_pipeline(model).transform(customers()))

    code, out, err = run("sample", model, "-n", 30, "--random-state", 0)
    assert (code, err) == (0, "")
    rows, table = pd.read_csv(io.StringIO(out)), customers()
    assert list(rows) == [
        name for name in table if name not in ("customer_id", "email")
    ]
    assert len(rows) == 30
    assert rows["age"].between(table["age"].min(), table["age"].max()).all()
    assert (rows["age"] == rows["age"].round()).all()
    assert (rows["income"] == rows["income"].round(2)).all()
    assert set(rows["city"].dropna()) <= {"Lima", "Oslo", "Rome"}
    assert set(rows["country"]) == {"Utopia"}
    assert set(rows["active"]) <= {True, False}
    dates = pd.to_datetime(rows["joined"], format="%d/%m/%Y")
    assert dates.between("2021-03-01", "2021-05-19").all()
    assert run("sample", model, "-n", 30, "--random-state", 0)[1] == out


def test_samples_of_pca_have_its_covariance(run, tmp_path):
    X = np.random.default_rng(0).normal(size=(500, 3)) @ np.diag([3.0, 2.0, 0.5])
    np.save(tmp_path / "X.npy", X)
    model, out = tmp_path / "model.skops", tmp_path / "rows.npy"
    run(
        "fit", tmp_path / "X.npy", "--method", "pca", "--no-standardize", "--out", model
    )
    run("sample", model, "-n", 20_000, "--random-state", 0, "--out", out)
    pca = PCA(2).fit(X)
    np.testing.assert_allclose(
        np.cov(np.load(out), rowvar=False), pca.get_covariance(), atol=0.25
    )


def test_a_target_is_no_part_of_the_code(run, csv, tmp_path):
    model = tmp_path / "model.skops"
    arguments = ["--target", "churned", "--drop", "income", *QUICK]
    assert run("fit", csv, "--out", model, *arguments)[0] == 0
    header = run("sample", model)[1].splitlines()[0].split(",")
    assert "churned" not in header
    assert "income" not in header


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet"])
def test_codes_and_samples_are_written_by_ending(run, saved, csv, tmp_path, ending):
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    for command in (["transform", saved, csv], ["sample", saved, "-n", 4]):
        path = tmp_path / f"out{ending}"
        code, out, _ = run(*command, "--out", path)
        assert (code, out) == (0, "")
        n_rows = 80 if command[0] == "transform" else 4
        assert len(read_table(str(path)).frame) == n_rows


def test_codes_as_an_array_and_text_that_cannot_be_one(
    run, refused, saved, csv, tmp_path
):
    out = tmp_path / "codes.npy"
    assert run("transform", saved, csv, "--out", out)[0] == 0
    assert np.load(out).shape == (80, 2)
    line = refused("sample", saved, "--out", tmp_path / "rows.npy", code=2)
    assert "use .csv or .parquet" in line
    assert not (tmp_path / "rows.npy").exists()


def test_transform_takes_columns_by_name_and_says_what_is_new(
    run, refused, saved, tmp_path
):
    table = customers().head(5)
    path = tmp_path / "new.csv"
    table[[*table][::-1]].assign(shoe_size=41).to_csv(path, index=False)
    _, in_order, _ = run("transform", saved, path)
    table.to_csv(path, index=False)
    assert run("transform", saved, path)[1] == in_order

    table.assign(city="Atlantis").to_csv(path, index=False)
    code, _, err = run("transform", saved, path)
    assert code == 0
    assert "skae: note: column 'city': 5 values were not seen" in err

    table.drop(columns=["age", "city"]).to_csv(path, index=False)
    assert "lacks the columns age, city" in refused("transform", saved, path, code=1)
    table.assign(age="old").to_csv(path, index=False)
    assert "column 'age' holds no number" in refused("transform", saved, path, code=1)


def test_a_constant_column_is_not_asked_for(run, saved, tmp_path):
    path = tmp_path / "some.csv"
    customers().drop(columns=["country", "email"]).to_csv(path, index=False)
    code, out, _ = run("transform", saved, path)
    assert (code, len(out.splitlines())) == (0, 81)


# ------------------------------------------------------------------- files of all kinds


def test_a_european_csv(tmp_path):
    path = tmp_path / "a.csv"
    text = "name;größe;datum\n" + "".join(
        f"n{i % 3};1,{i:02d};{i + 1:02d}.12.2020\n" for i in range(20)
    )
    for encoding in ("utf-8-sig", "cp1252", "utf-16"):
        path.write_bytes(text.encode(encoding))
        table = read_table(str(path))
        assert list(table.frame) == ["name", "größe", "datum"]
        encoder = TableEncoder().fit(table.frame)
        kinds = [kind.kind for kind in encoder.columns_.values()]
        assert kinds == ["category", "number", "date"]
        rows = encoder.transform(table.frame)
        pd.testing.assert_frame_equal(
            encoder.inverse_transform(rows), table.frame, check_dtype=False
        )
        assert "numbers have decimal commas" in table.notes


@pytest.mark.parametrize(
    ("text", "names", "first"),
    [
        ("a,a,b\n1,2,3\n4,5,6\n", ["a", "a.1", "b"], [1, 2, 3]),
        ("a\tb\n1\t2\n4\t5\n", ["a", "b"], [1, 2]),
        ("1,2.5\n3,4.5\n", ["x0", "x1"], [1, 2.5]),
        ("400,410,420\n3,1,2\n4,0,2\n", ["400", "410", "420"], [3, 1, 2]),
        ("a,b,\n1,2,\n3,4,\n", ["a", "b", "Unnamed: 2"], [1, 2, np.nan]),
        ("a,b\n1,2,\n3,4,\n", ["a", "b"], [1, 2]),
        ("a,b\nr1,1,2\nr2,3,4\n", ["a", "b"], [1, 2]),
        ('a|b\n1|"x, y"\n2|z\n', ["a", "b"], [1, "x, y"]),
        ("a, b\n1, ?\n,\n2, 3\n", ["a", "b"], [1, np.nan]),
    ],
    ids=[
        "duplicate names",
        "tabs",
        "no header",
        "wavelengths",
        "a separator too many",
        "separators too many in rows",
        "row names",
        "bars",
        "empty rows",
    ],
)
def test_odd_texts(tmp_path, text, names, first):
    path = tmp_path / "odd.txt"
    path.write_text(text)
    frame = read_table(str(path)).frame
    assert list(frame) == names
    assert len(frame) == 2
    pd.testing.assert_series_equal(
        frame.iloc[0], pd.Series(first), check_index=False, check_names=False,
        check_dtype=False, check_index_type=False,
    )  # fmt: skip


def test_arrays_and_archives(tmp_path):
    X, y = np.arange(24.0).reshape(4, 3, 2), np.array([0, 1, 0, 1])
    np.save(tmp_path / "X.npy", X)
    table = read_table(str(tmp_path / "X.npy"))
    assert table.frame.shape == (4, 6)
    assert table.image_shape == (3, 2)
    np.savez(tmp_path / "Xy.npz", X=X.astype(np.uint8), y=y)
    table = read_table(str(tmp_path / "Xy.npz"))
    assert (table.target, table.has_one_unit) == ("y", True)
    np.savez(tmp_path / "other.npz", a=X, b=y)
    with pytest.raises(ValueError, match="called 'X'"):
        read_table(str(tmp_path / "other.npz"))


def test_packed_text(tmp_path):
    customers().to_csv(tmp_path / "a.csv.gz", index=False)
    assert read_table(str(tmp_path / "a.csv.gz")).frame.shape == (80, 9)


# ------------------------------------------------------------------------ tables


def table_of(**columns):
    return pd.DataFrame(columns)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 5], "number"),
        (["1", "2.5", "3"], "number"),
        (["a", "b", "a"], "category"),
        ([True, False, True], "category"),
        ([True, None, False], "category"),
        (["2020-01-01", "2020-05-01", None], "date"),
        (["2020-01-01 10:30", "2020-05-01 11:00", None], "date"),
        (["12/31/2020", "01/02/2021", "03/04/2021"], "date"),
        (["Jan 05, 2020", "Feb 07, 2021", "Mar 01, 2021"], "date"),
        (pd.to_datetime(["2020-01-01", "2021-01-01", None]), "date"),
        (pd.to_timedelta([1, 2, 4], unit="h"), "number"),
        (pd.array([1, None, 3], dtype="Int64"), "number"),
        (pd.Categorical(["u", "v", "u"]), "category"),
        ([None, None, None], "constant"),
        ([3, 3, 3], "constant"),
        (["x", "x", "x"], "constant"),
        ([10**17, 10**17 + 64, 3], "number"),
        ([0.5, 0.25, 1e-9], "number"),
    ],
)
def test_kinds_of_columns_and_back(values, kind):
    table = table_of(a=values)
    encoder = TableEncoder().fit(table)
    assert encoder.columns_["a"].kind == kind
    rows = encoder.transform(table)
    assert np.isfinite(rows).all()
    back = encoder.inverse_transform(rows).reindex(columns=["a"])["a"]
    numbers = pd.to_numeric(pd.Series(values), errors="coerce")
    if kind == "number" and table["a"].dtype.kind != "m":
        there = np.isfinite(numbers.to_numpy(dtype=float, na_value=np.nan))
        expected = numbers[there].to_numpy(dtype=float)
        found = back[there].to_numpy(float)
        np.testing.assert_allclose(found, expected, atol=1e-15 * np.abs(expected).max())
    elif kind != "number":
        there = table["a"].notna()
        assert back[there].tolist() == table["a"][there].tolist()


NUMBERS = [float(i) for i in range(41)]
DAYS = [str(np.datetime64("2020-01-01") + i) for i in range(41)]


@pytest.mark.parametrize(
    ("odd", "usual", "what"),
    [("n.n.", NUMBERS, "number"), (np.inf, NUMBERS, "number"), ("soon", DAYS, "date")],
)
def test_a_few_values_of_another_kind_are_said_and_filled(odd, usual, what):
    table = table_of(a=[odd, *usual])
    with pytest.warns(UserWarning, match=f"1 of its values are no {what}"):
        rows = TableEncoder(standardize=False).fit_transform(table)
    assert rows[0] == np.median(rows[1:]) == 20


def test_what_says_nothing_is_left_out():
    words = np.random.default_rng(0).permutation(90)
    encoder = TableEncoder().fit(
        table_of(
            name=[f"n{i}" for i in range(90)],
            text=[f"t{min(i, 80)}" for i in words],
            id=words,
            lists=[[i] for i in words],
            x=words % 7,
        ).rename(columns={"x": "humid"})
    )
    assert list(encoder.columns_) == ["humid"]
    assert set(encoder.left_out_) == {"name", "text", "id", "lists"}


def test_rare_values_are_one_category():
    values = [f"v{i}" for i in range(30) for _ in range(30 - i)]
    encoder = TableEncoder(max_categories=5).fit(table_of(a=values, b=range(465)))
    assert encoder.columns_["a"].levels == ["v0", "v1", "v2", "v3", "other"]
    new = table_of(a=["v2", "v29", "unheard"], b=[0, 1, 2])
    back = encoder.inverse_transform(encoder.transform(new))
    assert back["a"].tolist() == ["v2", "other", "other"]


def test_standardised_means_mean_zero_and_variance_one():
    table = table_of(a=[1.0, 5.0, None, 9.0], b=["x", "y", "x", "x"])
    rows = TableEncoder().fit_transform(table)
    np.testing.assert_allclose(rows[:, 0].mean(), 0, atol=1e-15)
    np.testing.assert_allclose(rows[:, 0].std(), 1)
    assert set(rows[:, 1]) == {0, 1}


def test_targets_are_classes_or_numbers():
    assert read_target(pd.Series([0, 1, 2] * 5))[1]
    assert not read_target(pd.Series(range(30)))[1]
    assert not read_target(pd.Series(["2020-01-01", "2020-01-09"]))[1]
    with pytest.raises(ValueError, match="constant"):
        read_target(pd.Series([1, 1]))
    with pytest.raises(ValueError, match="every value differs"):
        read_target(pd.Series([f"n{i}" for i in range(9)]))


def test_rows_without_a_target_are_left_out(run, tmp_path):
    table = customers()
    table.loc[:9, "churned"] = None
    table.to_csv(tmp_path / "a.csv", index=False)
    arguments = ["--target", "churned", "--methods", "pca", "--cv", 2]
    code, _, err = run("compare", tmp_path / "a.csv", *arguments)
    assert code == 0
    assert "left out, without a target: 10 rows" in err


# ------------------------------------------------------------------- what is refused


def written(folder, name, content):
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content)
    return path


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


# --------------------------------------------------------------------- the process


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
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    line = refused("compare", "iris", "--out", "nowhere", code=1)
    assert 'pip install "skae[plot]"' in line


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


def test_a_pipe_that_is_closed_ends_the_process_quietly(saved):
    command = f"{sys.executable} -m skae sample {saved} -n 20000 | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (done.stdout.startswith("age,"), done.stderr) == (True, "")
