"""``skae compare``: what it says, and what it writes."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer, VAETransformer
from skae.cli import comparing
from skae.cli.reading import read_table
from skae.cli.report import findings, table_of
from skae.comparison.result import Comparison
from skae.measures import MEASURES

from .files import QUICK, pd, written


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


def test_pictures_of_several_panels_keep_their_width():
    """The rows of a wide table are as tall as they are wide, in eight panels."""
    pytest.importorskip("matplotlib")
    from skae.cli.pictures import DOTS_PER_INCH, model_pictures

    X = pd.DataFrame(np.random.default_rng(0).normal(size=(12, 20))).add_prefix("x")
    both = PCA(2).fit(X), PCA(2).fit(X)
    drawn = {p.name: p for p in model_pictures("model", both, both, X, None, None)}
    assert {name for name, p in drawn.items() if p.is_narrow} == {"feature_errors"}
    width = int.from_bytes(drawn["reconstructions"].light[16:20])
    assert width > 9 * DOTS_PER_INCH


def draw(n_components):
    """Pictures of PCA as a method, by their names."""
    pytest.importorskip("matplotlib")
    from skae.cli.pictures import model_pictures

    X = pd.DataFrame(np.random.default_rng(0).normal(size=(12, 4))).add_prefix("x")
    both = PCA(n_components).fit(X), PCA(n_components).fit(X)
    return {p.name: p for p in model_pictures("model", both, both, X, None, None)}


@pytest.mark.parametrize(
    ("n_components", "caption"),
    [
        (1, "The only code of unseen rows: model and PCA."),
        (3, "The first two codes of unseen rows: model and PCA, of 3 each."),
    ],
)
def test_a_picture_of_codes_says_how_many_there_are(n_components, caption):
    assert draw(n_components)["codes"].caption == caption


@pytest.mark.parametrize(("width", "words"), [(1, "1 component"), (2, "2 components")])
def test_a_picture_of_errors_says_how_wide_the_code_is(width, words):
    caption = draw(width)["feature_errors"].caption
    assert caption == f"What unseen rows lose in {words}, column by column."


def caption_of_losses(method, **settings):
    pytest.importorskip("matplotlib")
    from skae.cli.pictures import model_pictures

    table = read_table("wine")
    rows = StandardScaler().fit_transform(table.frame.drop(columns=table.target))
    X = pd.DataFrame(rows).add_prefix("x")
    model = method(2, random_state=0, **settings).fit(X)
    both = model, PCA(2).fit(X)
    pictures = model_pictures("model", both, both, X, None, None)
    return model, {p.name: p for p in pictures}["loss"].caption


def test_a_picture_of_losses_says_why_the_dot_is_below_its_curve():
    model, caption = caption_of_losses(AutoencoderTransformer)
    assert model.best_loss_ < 0.9 * model.validation_loss_curve_[model.best_epoch_]
    assert "below the curve" in caption


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        (VAETransformer, {}),
        (AutoencoderTransformer, {"early_stopping": False, "max_iter": 2}),
    ],
)
def test_a_picture_of_losses_says_nothing_of_a_dot_on_its_curve(method, settings):
    _, caption = caption_of_losses(method, **settings)
    assert caption.endswith("which is PCA.")


def test_pictures_are_the_same_whatever_style_is_set():
    plt = pytest.importorskip("matplotlib.pyplot")
    usual = draw(2)
    with plt.style.context(["dark_background", {"font.size": 11}]):
        for name, picture in draw(2).items():
            assert picture.light == usual[name].light
            assert picture.dark == usual[name].dark


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
    nothing = dict.fromkeys(MEASURES, np.full(6, np.nan))
    summary = Comparison(nothing | folds, reference="PCA", test_ratio=0.5).summary()
    (sentence,) = findings(summary)
    assert said in sentence


def test_measures_are_called_the_same_in_every_table():
    keys = {"estimator": ["PCA"], "n_components": [2], "fold": [0], "error": [""]}
    comparison = Comparison(keys | dict.fromkeys(MEASURES, np.ones(1)))
    _, _, *headings = table_of(comparison.summary())[0]
    shown = comparison._repr_html_()
    assert len(headings) == len(MEASURES)
    assert [name for name in headings if f">{name}<" not in shown] == []


def test_sizes_are_chosen_by_the_table(csv):
    def chosen(n_columns, n_rows=100):
        rows = type("Rows", (), {"X": np.empty((n_rows, n_columns))})
        return comparing.choose_sizes(None, 5, rows)

    assert chosen(64) == [2, 8, 32]
    assert chosen(32) == [2, 8]
    assert chosen(5) == [1, 2, 4]
    assert chosen(2) == [1]
    assert chosen(64, n_rows=12) == [2, 8]
