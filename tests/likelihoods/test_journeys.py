"""Likelihoods, from end to end."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from given import generator, images, normal
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import GridSearchCV

from skae import AutoencoderTransformer, VAETransformer
from skae.fitting.auto import auto_likelihood
from skae.likelihoods import (
    Bernoulli,
    Categorical,
    GaussianDiag,
    NegativeBinomial,
    PerColumn,
    Poisson,
)

from .made import MIXED, SMALL, START, counts, mixed

ROWS = {
    "gaussian": lambda: load_iris().data[::2],
    "gaussian_diag": lambda: load_iris().data[::2],
    "student_t": lambda: load_iris().data[::2],
    "bernoulli": lambda: (images(80) > 7) * 1.0,
    "continuous_bernoulli": lambda: images(80) / 16,
    "poisson": lambda: counts(80),
    "negative_binomial": lambda: counts(80),
    "categorical": lambda: np.eye(5)[np.arange(80) % 7 % 5],
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("Model", [AutoencoderTransformer, VAETransformer])
def test_every_likelihood_goes_the_whole_way(Model, name):
    X = ROWS[name]()
    model = Model(2, likelihood=name, early_stopping=False, **SMALL).fit(X)
    scores = model.score_samples(X[:40])
    assert np.isfinite(scores).all()
    assert model.transform(X).shape == (len(X), 2)
    assert model.reconstruct(X).shape == X.shape
    drawn = model.sample(50, random_state=0)
    model.likelihood_.check(drawn, *map(np.arange, drawn.shape))
    np.testing.assert_array_equal(drawn, model.sample(50, random_state=0))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.score_samples(X[:40]), scores)
    np.testing.assert_array_equal(again.sample(50, random_state=0), drawn)
    same = clone(model).fit(X)
    np.testing.assert_array_equal(same.transform(X), model.transform(X))


@pytest.mark.parametrize("name", ROWS)
def test_a_trained_vae_is_no_worse_than_its_start(name):
    X = ROWS[name]()
    parameters = SMALL | {"max_iter": 15}
    model = VAETransformer(2, likelihood=name, **parameters).fit(X)
    assert model.best_loss_ <= model.start_loss_


def test_the_likelihood_is_searched_on_a_grid():
    X, parameters = counts(120), SMALL | {"prior": "normal"}
    grid = {"likelihood": ["gaussian", "poisson", NegativeBinomial()]}
    search = GridSearchCV(VAETransformer(2, **parameters), grid, cv=2).fit(X)
    scores = search.cv_results_["mean_test_score"]
    assert scores[2] > scores[1] > scores[0]
    nested = {"likelihood__size": ["total", None]}
    search = GridSearchCV(
        VAETransformer(2, likelihood=Poisson(), **parameters), nested, cv=2
    )
    assert search.fit(X).best_params_ == {"likelihood__size": "total"}


@pytest.mark.parametrize("name", ["poisson", "negative_binomial", MIXED, "auto"])
def test_sparse_rows_are_the_same_rows(name):
    X = mixed() if name is MIXED else counts(120)
    vae = VAETransformer(2, likelihood=name, **START)
    dense, sparse = clone(vae).fit(X), vae.fit(sp.csr_array(X))
    codes, scores = dense.transform(X), dense.score_samples(X[:40])
    # Sparse rows are centred after they are multiplied: of a column with a mean of a
    # million and a deviation of tens that leaves five digits.
    lost = 1e-5 if name is MIXED else 1e-6
    for rows in (sp.csr_array(X), sp.csc_array(X), X):
        np.testing.assert_allclose(sparse.transform(rows), codes, atol=lost)
    found = sparse.score_samples(sp.csr_array(X[:40]))
    np.testing.assert_allclose(found, scores, rtol=lost)
    trained = VAETransformer(2, likelihood=name, **SMALL).fit(sp.csr_array(X))
    np.testing.assert_array_equal(
        trained.transform(X), trained.transform(sp.csr_array(X))
    )


NAMES = ["income", "smoker", "share", "city_a", "city_b", "city_c", "visits"]
NAMED = [
    ("gaussian_diag", ["income", "share"]),
    (Bernoulli(), ["smoker"]),
    ("categorical", ["city_a", "city_b", "city_c"]),
    ("negative_binomial", "visits"),
]


@pytest.mark.parametrize("Model", [AutoencoderTransformer, VAETransformer])
def test_columns_are_chosen_by_name(Model):
    pd = pytest.importorskip("pandas")
    X = mixed()
    frame = pd.DataFrame(X, columns=NAMES)
    named = Model(2, likelihood=NAMED, **SMALL).fit(frame)
    numbered = Model(2, likelihood=MIXED, **SMALL).fit(X)
    assert named.likelihood is NAMED
    np.testing.assert_array_equal(named.transform(frame), numbered.transform(X))
    drawn = named.set_output(transform="pandas").sample(30, random_state=0)
    assert list(drawn.columns) == NAMES
    assert (drawn[["city_a", "city_b", "city_c"]].sum(axis=1) == 1).all()
    assert drawn["smoker"].isin([0, 1]).all()
    assert (drawn["visits"] == np.floor(drawn["visits"])).all()
    assert drawn["visits"].min() >= 0
    assert drawn["income"].nunique() == 30


def test_groups_of_categories_are_chosen_by_name():
    pd = pytest.importorskip("pandas")
    X = np.hstack([np.eye(2)[np.arange(40) % 2], np.eye(3)[np.arange(40) % 3]])
    frame = pd.DataFrame(X[:, [2, 0, 3, 1, 4]], columns=["u", "a", "v", "b", "w"])
    spec = Categorical([["a", "b"], ["u", "v", "w"]])
    model = VAETransformer(1, likelihood=spec, **START).fit(frame)
    assert model.likelihood_.groups == [[1, 3], [0, 2, 4]]
    assert spec.groups == [["a", "b"], ["u", "v", "w"]]


def test_the_score_of_a_mixed_table_is_the_sum_over_its_parts():
    X = mixed()
    vae = VAETransformer(2, likelihood=MIXED, **SMALL).fit(X)
    module = vae.module_.likelihood
    x, eta = torch.from_numpy(X[:9] - vae.likelihood_.origin(vae.mean_)), normal(9, 7)
    parts = [p.likelihood.log_prob(p.of(x), p.of(eta)) for p in module.parts]
    assert len(parts) == 4
    np.testing.assert_allclose(
        module.log_prob(x, eta).detach(), sum(parts).detach(), rtol=1e-12
    )
    start = VAETransformer(2, likelihood=MIXED, **START).fit(X)
    assert vae.score(X[:60]) > start.score(X[:60]) - 1


def test_auto_looks_at_the_columns(capsys):
    X = mixed()
    assert auto_likelihood(X) == [
        ("gaussian_diag", [0, 2]),
        ("negative_binomial", [6]),
        ("bernoulli", [1]),
        ("categorical", [3, 4, 5]),
    ]
    assert auto_likelihood(sp.csr_array(X)) == auto_likelihood(X)
    assert auto_likelihood(load_iris().data) == "gaussian_diag"
    assert auto_likelihood(counts()) == "negative_binomial"
    answers = np.random.RandomState(0).binomial(4, 0.5, (1000, 2)).astype(float)
    for rows in (answers, np.tile(answers, (11, 1))):
        vae = VAETransformer(1, likelihood="auto", max_iter=0).fit(rows)
        assert isinstance(vae.likelihood_, GaussianDiag)
    assert auto_likelihood((load_digits().data > 7) * 1.0) == "bernoulli"
    overlapping = np.eye(3)[np.arange(30) % 3]
    overlapping = np.column_stack([overlapping[:, 0], overlapping])
    assert auto_likelihood(overlapping) == [
        ("bernoulli", [0]),
        ("categorical", [1, 2, 3]),
    ]
    model = VAETransformer(2, likelihood="auto", verbose=True, **SMALL).fit(X)
    assert isinstance(model.likelihood_, PerColumn)
    assert "likelihood: PerColumn" in capsys.readouterr().out
    assert model.likelihood == "auto"


def test_binary_rows_are_drawn_anew_each_time():
    x = torch.full((2000, 3), 0.3)
    module = Bernoulli(binarize=True).build(3)
    draws = generator()
    first, second = module.drawn(x, draws), module.drawn(x, draws)
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(first, second)
    assert abs(first.mean().item() - 0.3) < 5 * (0.21 / 6000) ** 0.5
    assert Bernoulli().build(3).drawn(x, draws) is x


def test_binary_rows_are_learned_from_grey_ones():
    X = images(300) / 16
    binary = (np.random.default_rng(0).random(X.shape) < X) * 1.0
    parameters = SMALL | {"max_iter": 15, "early_stopping": False}
    drawn, grey = (
        VAETransformer(4, likelihood=spec, **parameters).fit(X)
        for spec in (Bernoulli(binarize=True), Bernoulli())
    )
    assert drawn.loss_curve_ != grey.loss_curve_
    again = clone(drawn).fit(X)
    assert again.loss_curve_ == drawn.loss_curve_
    start = clone(drawn).set_params(max_iter=0).fit(X)
    assert drawn.score(binary[:100]) > start.score(binary[:100]) + 0.5


def faint_and_drawn(share):
    """Faint images, and a draw of what they stand for."""
    X = share * images(300) / 16
    return X, (np.random.default_rng(0).random(X.shape) < X) * 1.0


BINARIZED = SMALL | {"likelihood": Bernoulli(binarize=True), "early_stopping": False}


@pytest.mark.parametrize("init", ["pca", "random"])
def test_what_is_said_of_components_is_of_drawn_rows(init):
    X, binary = faint_and_drawn(0.4)
    parameters = BINARIZED | {"max_iter": 30, "learning_rate_init": 0.01}
    model = VAETransformer(4, init=init, prior="normal", **parameters).fit(X)
    found = model.elbo(binary).kl.mean()
    assert model.kl_per_component_.sum() == pytest.approx(found, rel=0.3)


@pytest.mark.parametrize("n_components", [2, 8])
def test_the_prior_of_a_class_is_of_the_codes_of_drawn_rows(n_components):
    (X, binary), y = faint_and_drawn(0.8), np.arange(300) % 2
    parameters = BINARIZED | {"max_iter": 0, "conditional": True}
    model = VAETransformer(n_components, **parameters).fit(X, y)
    means, deviations = model.transform(binary, return_std=True)
    of_codes = means.var(axis=0) + np.square(deviations).mean(axis=0)
    spread = model.module_.log_scales.detach().exp().square().numpy()
    assert spread.mean() == pytest.approx(of_codes.mean(), rel=0.05)


def test_pseudo_inputs_begin_at_drawn_rows():
    X, _ = faint_and_drawn(0.5)
    parameters = BINARIZED | {"max_iter": 0, "prior": "vamp"}
    fits = [VAETransformer(2, **parameters).fit(X) for _ in range(2)]
    drawn, again = (model.module_.prior.rows.numpy() for model in fits)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert drawn.mean() == pytest.approx(X.mean(), rel=0.1)
    np.testing.assert_array_equal(drawn, again)


@pytest.mark.parametrize("n_refinements", [0, 3])
def test_codes_that_an_autoencoder_draws_are_as_those_of_drawn_rows(n_refinements):
    X, binary = faint_and_drawn(0.5)
    parameters = BINARIZED | {"max_iter": 5, "n_refinements": n_refinements}
    model = AutoencoderTransformer(3, **parameters).fit(X)
    drawn = model.latent_density_.sample(3000, random_state=0)
    found = model.transform(binary).std(axis=0)
    np.testing.assert_allclose(drawn.std(axis=0), found, rtol=0.15)


def test_an_autoencoder_and_a_density_take_the_same_losses():
    X = counts()
    model = AutoencoderTransformer(2, likelihood="poisson", **SMALL).fit(X)
    module, x = model.module_, torch.from_numpy(X)
    with torch.no_grad():
        losses = -module.likelihood.log_prob(x, module.decoder(module.encode(x)))
    assert losses.mean().item() < -module.likelihood.log_prob(x, 0 * x).mean().item()


@pytest.mark.parametrize("name", ["poisson", MIXED])
def test_streams_and_warm_starts_keep_their_likelihood(name):
    X = mixed() if name is MIXED else counts()
    stream = VAETransformer(2, likelihood=name, **SMALL)
    stream.partial_fit(X[:100]).partial_fit(X[100:])
    warm = VAETransformer(2, likelihood=name, warm_start=True, **SMALL).fit(X)
    before = warm.n_iter_
    assert warm.fit(X).n_iter_ == before
    for model in (stream, warm):
        assert np.isfinite(model.score(X[:20]))


@pytest.mark.parametrize("name", ["gaussian_diag", "student_t", "negative_binomial"])
def test_a_network_of_the_users_own_falls_back_to_autograd(name):
    X = ROWS[name]()
    model = VAETransformer(
        2, likelihood=name, decoder=torch.nn.Linear, **SMALL | {"max_iter": 2}
    )
    assert not model.fit(X).module_.has_derivative
    assert np.isfinite(model.score(X[:20]))


@pytest.mark.parametrize("name", list(ROWS))
def test_random_networks_take_every_likelihood(name):
    X = ROWS[name]()
    parameters = SMALL | {"init": "random", "prior": "normal"}
    model = VAETransformer(2, likelihood=name, **parameters).fit(X)
    assert np.isfinite(model.score(X[:20]))


def test_weights_are_repetitions_for_counts():
    X = counts(60)
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    weighted = VAETransformer(2, likelihood="negative_binomial", **SMALL)
    weighted.fit(X, sample_weight=weight)
    repeated = clone(weighted).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(weighted.transform(X), repeated.transform(X), atol=1e-7)
