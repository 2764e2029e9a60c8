"""``skae fit``, ``transform`` and ``sample``."""

import io

import numpy as np
import pytest
from sklearn.decomposition import PCA

from skae.cli.reading import read_table
from skae.cli.saving import load_pipeline

from .files import QUICK, customers, pd


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


@pytest.mark.parametrize(
    ("asked", "method"), [("0.8", "pca"), ("0.8", "autoencoder"), ("auto", "vae")]
)
def test_the_size_of_a_code_can_be_found(run, tmp_path, asked, method):
    out = tmp_path / "model.skops"
    more = ["--method", method, "--n-components", asked, *(QUICK * (method != "pca"))]
    assert run("fit", "iris", "--out", out, *more)[0] == 0
    model = load_pipeline(out)["model"]
    assert 1 <= model.n_components_ <= 4


@pytest.mark.parametrize("method", ["autoencoder", "vae", "pca"])
def test_codes_of_digits_keep_their_zeros_and_are_none_but_those_seen(
    run, tmp_path, method
):
    rng = np.random.default_rng(0)
    codes = ["0012", "0450", "1200", "0007"]
    table = pd.DataFrame({"sku": rng.choice(codes, 80), "price": rng.normal(9, 1, 80)})
    path, model = tmp_path / "sold.csv", tmp_path / "model.skops"
    table.to_csv(path, index=False)
    more = [] if method == "pca" else QUICK
    code, _, err = run("fit", path, "--out", model, "--method", method, *more)
    assert code == 0
    assert "1 category: sku (4 values), one-hot" in err

    _, out, err = run("sample", model, "-n", 60, "--random-state", 0)
    rows = pd.read_csv(io.StringIO(out), dtype={"sku": str})
    assert set(rows["sku"]) <= set(codes)
    assert (len(rows), err) == (60, "")

    _, out, err = run("transform", model, path)
    written = pd.read_csv(io.StringIO(out))
    np.testing.assert_allclose(written, load_pipeline(model).transform(table))


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
    assert run("fit", csv, "--out", model, *arguments, "--drop", "age")[0] == 0
    header = run("sample", model)[1].splitlines()[0].split(",")
    assert not {"income", "age"} & {*header}


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

    path.write_text(path.read_text() + "," * (table.shape[1] - 1) + "\n")
    _, out, err = run("transform", saved, path)
    assert "kept, without any value: 1 row\n" in err
    assert len(out.splitlines()) == 7

    table.drop(columns=["age", "city"]).to_csv(path, index=False)
    assert "lacks the columns age, city" in refused("transform", saved, path, code=1)
    table.assign(age="old").to_csv(path, index=False)
    line = refused("transform", saved, path, code=1)
    assert "column 'age' holds no finite number" in line


def test_a_constant_column_is_not_asked_for(run, saved, tmp_path):
    path = tmp_path / "some.csv"
    customers().drop(columns=["country", "email"]).to_csv(path, index=False)
    code, out, _ = run("transform", saved, path)
    assert (code, len(out.splitlines())) == (0, 81)
