"""Objectives: closed forms, long Monte Carlo runs, gradients, warm-up, bad input."""

import math

import numpy as np
import pytest
import torch
from given import LEARNS, generator, images, normal, tensors
from torch import nn
from torch.distributions import Independent, kl_divergence
from torch.distributions import Normal as TorchNormal

from skae import VAETransformer
from skae.fitting.blueprint import Variational
from skae.likelihoods import Bernoulli, Gaussian
from skae.models import draws
from skae.models.objectives import COMPARED_ROWS, ImportanceBound, PenalisedBound
from skae.models.penalties import (
    DIVERGENCES,
    KERNEL_SCALES,
    KullbackLeibler,
    MeanDiscrepancy,
    TotalCorrelation,
)
from skae.models.posteriors import POSTERIORS, DiagonalGaussian, FullGaussian
from skae.models.variational import VariationalAutoencoder
from skae.priors import Normal
from skae.training.weights import FlatParameters, WorkingWeights

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0}


def posterior(n=200, k=2, kind="diagonal", seed=0):
    made = POSTERIORS[kind]
    statistics = normal(n, made.n_statistics(k), seed=seed)
    return made.from_statistics(statistics, k)


def penalised(penalty, posterior, seed=1, weight=None):
    z = posterior.at(normal(*posterior.mean.shape, seed=seed))
    tilt = torch.zeros_like(z[:, 0])
    return penalty(posterior, z, tilt, weight, generator(seed))


# ------------------------------------------------------------------------- divergences


def test_divergence_is_that_of_torch():
    mean, log_variance = tensors((20, 3), (20, 3))
    posterior = Independent(TorchNormal(mean, torch.exp(log_variance / 2)), 1)
    prior = Independent(TorchNormal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    found = DiagonalGaussian(mean, log_variance).divergences().sum(-1)
    np.testing.assert_allclose(found, kl_divergence(posterior, prior))
    zeros = torch.zeros(1, 3)
    assert not DiagonalGaussian(zeros, zeros).divergences().any()


@pytest.mark.parametrize("kind", POSTERIORS)
def test_the_divergence_is_the_mean_of_a_long_run(kind):
    one = posterior(1, 3, kind)
    noise = normal(200_000, 1, 3)
    z = one.at(noise)
    ratio = one.log_prob(z) + (z.square() + math.log(2 * math.pi)).sum(-1) / 2
    found = penalised(KullbackLeibler(2.5), one).item()
    error = ratio.std().item() / len(ratio) ** 0.5
    assert found / 2.5 == pytest.approx(ratio.mean().item(), abs=4 * error)


def test_a_tilted_prior_is_nearer():
    one = posterior()
    z, tilt = one.mean, torch.full((200,), 0.3, dtype=torch.float64)
    plain = KullbackLeibler(2.0)(one, z, 0 * tilt)
    np.testing.assert_allclose(KullbackLeibler(2.0)(one, z, tilt), plain - 0.6)


@pytest.mark.parametrize("weighted", [False, True])
def test_free_bits_count_a_component_as_kingma_has_it(weighted):
    one = posterior(50, 4)
    weight = torch.rand(50, generator=generator(2)).double() if weighted else None
    share = (
        torch.full((50,), 0.02).double() if weight is None else weight / weight.sum()
    )
    means = share @ one.divergences()
    free = means.sort().values[1:3].mean().item()  # two components are below
    losses = penalised(KullbackLeibler(1.5, free), one, weight=weight)
    wanted = 1.5 * means.clamp(min=free).sum()
    assert (share @ losses).item() == pytest.approx(wanted.item())


def test_below_its_free_bits_a_component_has_no_gradient():
    mean = torch.tensor([[0.1, 3.0], [-0.1, 3.0]]).double().requires_grad_()
    losses = penalised(KullbackLeibler(1.0, 0.5), DiagonalGaussian(mean, 0 * mean))
    losses.sum().backward()
    assert (mean.grad[:, 0] == 0).all()
    assert (mean.grad[:, 1] == 3).all()


def expected_kernel(variance, k):
    """``E c / (c + |d|^2)`` for a Gaussian d, through the kernel as a mixture.

    ``c / (c + s) = E exp(-s t / c)`` over exponential t, and of a Gaussian square the
    exponential has a closed form.
    """
    t, weight = np.polynomial.laguerre.laggauss(120)
    scales = 2 * k * np.array(KERNEL_SCALES)[:, None]
    return float((weight * (1 + 2 * variance * t / scales) ** (-k / 2)).sum(1).mean())


@pytest.mark.parametrize("variance", [1.0, 0.3])
def test_the_mean_discrepancy_is_its_closed_form(variance):
    k, found = 2, []
    for seed in range(40):
        codes = variance**0.5 * normal(200, k, seed=seed)
        one = DiagonalGaussian(codes, torch.full_like(codes, -40.0))
        found.append(penalised(MeanDiscrepancy(3.0), one, seed=seed + 50).mean().item())
    wanted = 3 * (
        expected_kernel(2 * variance, k)
        - 2 * expected_kernel(1 + variance, k)
        + expected_kernel(2.0, k)
    )
    error = np.std(found) / len(found) ** 0.5
    assert np.mean(found) == pytest.approx(wanted, abs=4 * error + 1e-4)
    assert wanted == pytest.approx(0, abs=1e-12) if variance == 1 else wanted > 0.01


def test_the_mean_discrepancy_moves_codes_towards_the_prior():
    codes = (0.1 * normal(100, 2) + 2).requires_grad_()
    for step in range(100):
        one = DiagonalGaussian(codes, torch.full_like(codes, -40.0))
        loss = penalised(MeanDiscrepancy(1.0), one, seed=step).sum()
        (slope,) = torch.autograd.grad(loss, codes)
        codes = (codes - 1.5 * slope).detach().requires_grad_()
    assert codes.mean(0).abs().max().item() < 0.3
    assert 0.5 < codes.std().item() < 1.5


def test_one_row_alone_has_a_discrepancy():
    assert torch.isfinite(penalised(MeanDiscrepancy(1.0), posterior(1))).all()


@pytest.mark.parametrize("kind", POSTERIORS)
def test_total_correlation_at_beta_1_is_the_divergence(kind):
    one = posterior(kind=kind)
    found = penalised(TotalCorrelation(1.0), one)
    np.testing.assert_allclose(found, one.divergences().sum(1))


def test_total_correlation_is_that_of_the_mixture_of_posteriors():
    # The mixture of the posteriors is known, so its total correlation is a long run
    # of draws from it.
    line = normal(40, 1)
    one = DiagonalGaussian(line.expand(40, 2), torch.full((40, 2), -2.0).double())
    found = np.mean(
        [
            (penalised(TotalCorrelation(2.0), one, seed) - one.divergences().sum(1))
            .mean()
            .item()
            for seed in range(400)
        ]
    )
    chosen = torch.randint(40, (100_000,), generator=generator(3))
    z = one.map(lambda field: field[chosen]).at(normal(100_000, 2, seed=4))
    parts = one.log_marginals(z[:, None])
    logs = parts.sum(-1).logsumexp(1) - parts.logsumexp(1).sum(-1) + math.log(40)
    error = logs.std().item() / len(logs) ** 0.5
    assert found == pytest.approx(logs.mean().item(), abs=6 * error)
    assert found > 0.3


def test_total_correlation_counts_weighted_rows_as_often():
    one = posterior(6, 2)
    z = one.at(normal(6, 2, seed=1))
    index = torch.tensor([0, 0, 0, 1, 2, 3, 4, 5, 5])
    weight = torch.tensor([3.0, 1, 1, 1, 1, 2]).double()
    repeated = TotalCorrelation(3.0)(
        one.map(lambda field: field[index]), z[index], torch.zeros(9).double()
    )
    weighted = TotalCorrelation(3.0)(one, z, torch.zeros(6).double(), weight)
    np.testing.assert_allclose(repeated, weighted[index])


def test_rows_that_judge_are_compared_in_batches():
    """Memory is that of a batch, and so is what a row's penalty means."""
    n = 2 * COMPARED_ROWS + 5
    x = X2.repeat(n, 1)[:n]
    with torch.no_grad():
        for penalty in (TotalCorrelation(3.0), MeanDiscrepancy(2.0)):
            model, stream = linear_model(PenalisedBound(penalty)), generator()
            found = model.row_losses(x, generator())
            order = torch.randperm(n, generator=stream)
            for some in order.tensor_split(3):
                wanted = model.objective.row_losses(model, x[some], stream)
                np.testing.assert_array_equal(found[some], wanted)


@pytest.mark.parametrize("penalty", [TotalCorrelation(3.0), MeanDiscrepancy(50.0)])
def test_rows_that_judge_are_compared_in_any_order_and_by_their_weights(penalty):
    """Neighbours may be alike, and those of one batch must not be."""
    model, n = linear_model(PenalisedBound(penalty)), 3 * COMPARED_ROWS
    x = torch.linspace(-3, 3, n).double()[:, None] * torch.ones(1, X2.shape[1])
    weight = torch.where(torch.arange(n) < n // 2, 10.0, 1.0).double()
    mixed = torch.randperm(n, generator=generator(1))
    with torch.no_grad():
        for w in (torch.ones(n).double(), weight):
            share = w / w.sum()
            ordered = model.row_losses(x, generator(), 1, w) @ share
            found = model.row_losses(x[mixed], generator(), 1, w[mixed]) @ share[mixed]
            one_batch = model.objective.row_losses(model, x, generator(), w) @ share
            assert ordered == pytest.approx(found.item(), abs=0.7)
            assert ordered == pytest.approx(one_batch.item(), abs=1.5)


# ------------------------------------------------------------------- importance weights


class Linear(nn.Module):
    """A path that is one matrix, for a model whose likelihood is known."""

    def __init__(self, weight, offset=None):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.offset = None if offset is None else nn.Parameter(offset)
        self.linear = None
        self.has_derivative = False

    def forward(self, x):
        y = x @ self.weight.T
        return y if self.offset is None else y + self.offset


def linear_model(objective, kind="diagonal"):
    """One code, two columns: z ~ N(0, 1), x | z ~ N(w z, I)."""
    encoder = Linear(
        torch.tensor([[0.3, 0.1], [0, 0]]).double(), torch.tensor([0.0, -1.0])
    )
    decoder = Linear(torch.tensor([[1.0], [0.5]]).double())
    likelihood = Gaussian().build(2)
    return VariationalAutoencoder(
        encoder,
        decoder,
        likelihood,
        posterior=POSTERIORS[kind],
        prior=Normal().build(1, 2),
        objective=objective,
    )


X2 = torch.tensor([[1.0, 0.2], [-0.5, 1.5]]).double()


def log_likelihood_of_linear(x):
    w = torch.tensor([1.0, 0.5]).double()
    covariance = torch.eye(2).double() + torch.outer(w, w)
    zeros = torch.zeros(2).double()
    return torch.distributions.MultivariateNormal(zeros, covariance).log_prob(x)


def test_more_draws_make_the_bound_tighter():
    bounds = []
    with torch.no_grad():
        for n_draws in (1, 5, 50, 5000):
            model = linear_model(ImportanceBound(n_draws, 1.0))
            repeated = X2.repeat(4000 // n_draws + 1, 1)
            losses = model.row_losses(repeated, generator())
            bounds.append(-losses.mean().item())
    exact = log_likelihood_of_linear(X2).mean().item()
    assert bounds == sorted(bounds)
    assert bounds[-1] == pytest.approx(exact, abs=0.01)
    assert bounds[0] < exact - 0.02


def test_one_importance_sample_is_the_evidence_bound():
    with torch.no_grad():
        one = linear_model(ImportanceBound(1, 0.7))
        other = linear_model(PenalisedBound(KullbackLeibler(0.7)))
        repeated = X2.repeat(20_000, 1)
        found = one.row_losses(repeated, generator()).mean().item()
        wanted = other.row_losses(repeated, generator()).mean().item()
    assert found == pytest.approx(wanted, abs=0.02)


@pytest.mark.parametrize("at_once", [1, 70, 2**22])
@pytest.mark.parametrize(
    ("objective", "likelihood"),
    [
        (PenalisedBound(KullbackLeibler(0.7)), Gaussian()),
        (PenalisedBound(KullbackLeibler(0.7)), Bernoulli(binarize=True)),
        (PenalisedBound(KullbackLeibler(0.7, free_bits=0.2)), Gaussian()),
        (PenalisedBound(TotalCorrelation(3.0)), Gaussian()),
        (ImportanceBound(3, 0.7), Gaussian()),
    ],
)
def test_passes_are_judged_together_as_one_by_one(
    objective, likelihood, at_once, monkeypatch
):
    monkeypatch.setattr(draws, "DECODED_NUMBERS", at_once)
    model, stream = linear_model(objective), generator()
    model.likelihood = likelihood.build(2)
    x = torch.sigmoid(X2).repeat(4, 1)
    with torch.no_grad():
        together = model.row_losses(x, generator(), 5)
        one_by_one = [model.row_losses(x, stream) for _ in range(5)]
    torch.testing.assert_close(together, torch.stack(one_by_one).mean(0))
    assert (one_by_one[0] - one_by_one[1]).abs().min() > 1e-6


def plain_gradient(model, x, n_draws, power, seed):
    """Gradient of the bound by reparameterisation alone."""
    one = model.posterior(x).each_draw()
    noise = normal(len(x), n_draws, 1, seed=seed)
    z = one.at(noise)
    logs = model.log_prob_given(x, z)
    logs = logs + power * (model.log_prior(z) - one.log_prob(z))
    bound = logs.logsumexp(1) - math.log(n_draws)
    return -bound.mean(), torch.autograd.grad(-bound.mean(), list(model.parameters()))


@pytest.mark.parametrize("power", [1.0, 0.6])
@pytest.mark.parametrize("n_draws", [2, 6])
def test_the_doubly_reparameterised_gradient_has_the_same_mean(n_draws, power):
    model = linear_model(ImportanceBound(n_draws, power))
    x = X2.repeat(40_000, 1)
    factor = torch.full((len(x),), 1 / len(x)).double()
    loss = model.batch_loss(x, factor, generator())
    found = torch.autograd.grad(loss, list(model.parameters()))
    wanted_loss, wanted = plain_gradient(model, x, n_draws, power, seed=9)
    assert loss.item() == pytest.approx(wanted_loss.item(), abs=0.01)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=0.02, rtol=0.02)


def test_the_doubly_reparameterised_gradient_varies_less():
    # Where the posterior is exact all weights are alike: no draw moves the encoder.
    model = linear_model(ImportanceBound(8, 1.0))
    variance = 1 / 2.25
    with torch.no_grad():
        model.encoder.weight.copy_(torch.tensor([[1.0, 0.5], [0, 0]]) * variance)
        model.encoder.offset.copy_(torch.tensor([0.0, math.log(variance)]))
    factor = torch.full((2,), 0.5).double()
    found = torch.autograd.grad(
        model.batch_loss(X2, factor, generator()), list(model.encoder.parameters())
    )
    _, plain = plain_gradient(model, X2, 8, 1.0, seed=1)
    assert max(slope.abs().max().item() for slope in found) < 1e-8
    assert max(slope.abs().max().item() for slope in plain) > 1e-3


def test_the_model_learns_from_draws_by_their_weights():
    """The decoder's gradient is that of the bound at the same draws."""
    model = linear_model(ImportanceBound(5, 1.0))
    factor = torch.full((2,), 0.5).double()
    loss = model.batch_loss(X2, factor, generator(3))
    (found,) = torch.autograd.grad(loss, [model.decoder.weight])
    noise = torch.randn(2, 5, 1, generator=generator(3), dtype=torch.float64)
    one = model.posterior(X2).each_draw()
    z = one.at(noise).detach()
    logs = model.log_prob_given(X2, z) + model.log_prior(z) - one.log_prob(z).detach()
    bound = -(logs.logsumexp(1).mean() - math.log(5))
    (wanted,) = torch.autograd.grad(bound, [model.decoder.weight])
    np.testing.assert_allclose(found, wanted)
    assert loss.item() == pytest.approx(bound.item())


def test_one_epoch_of_a_stream_is_not_warmed_up(iris):
    parameters = SMALL | {"max_iter": 1}
    cold = VAETransformer(2, **parameters).partial_fit(iris[0])
    warm = VAETransformer(2, kl_warmup=1.0, **parameters).partial_fit(iris[0])
    np.testing.assert_array_equal(cold.transform(iris[0]), warm.transform(iris[0]))


def test_warm_up_changes_the_training_and_what_judges_it_stays(iris):
    X = iris[0]
    warm = VAETransformer(2, kl_warmup=1.0, **SMALL).fit(X)
    cold = VAETransformer(2, **SMALL).fit(X)
    assert warm.start_loss_ == cold.start_loss_
    assert warm.validation_loss_curve_[0] == cold.validation_loss_curve_[0]
    assert warm.loss_curve_[0] < cold.loss_curve_[0]
    assert warm.module_.warmth == 1


@pytest.mark.parametrize("warmth", [0.0, 0.4])
def test_the_gradient_written_out_knows_of_the_warm_up(warmth, iris):
    X = torch.from_numpy(iris[0]).float()
    parameters = SMALL | {"max_iter": 1, "prior": "normal"}
    model = VAETransformer(2, **parameters).fit(iris[0]).module_
    model.train()
    model.warm_up(warmth)
    factor = torch.rand(len(X), generator=generator())
    parameters = [p for p in model.parameters() if p.requires_grad]
    loss = model.batch_loss(X, factor, generator(1))
    wanted = torch.autograd.grad(loss, parameters)
    for p in parameters:
        p.grad = torch.zeros_like(p)
    flat = FlatParameters(model)
    with torch.no_grad():
        working = WorkingWeights(flat, torch.float32, len(X))
        derivative = model.written_out(working)
        found = derivative.loss_and_grad(X, factor, generator(1))
    assert found.item() == pytest.approx(loss.item(), rel=1e-4)
    for p, gradient in zip(parameters, wanted, strict=True):
        scale = gradient.abs().max().item() + 1e-6
        assert (p.grad - gradient).abs().max().item() < 1e-3 * scale


# ------------------------------------------------------------------------------- users

OBJECTIVES = [
    {"divergence": "mmd", "beta": 20.0},
    {"divergence": "tc", "beta": 3.0},
    {"free_bits": 0.5},
    {"n_importance_samples": 3},
    {"n_importance_samples": 3, "beta": 0.5, "kl_warmup": 0.3},
    {"kl_warmup": 0.5, "divergence": "tc", "prior": "gmm"},
]


@pytest.fixture(scope="module")
def scores_of_start(iris):
    start = VAETransformer(2, max_iter=0, random_state=0).fit(iris[0])
    return start.score_samples(iris[0][:20])


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_a_score_is_the_bound_on_the_likelihood_whatever_is_trained(
    objective, posterior, iris, scores_of_start
):
    X = iris[0]
    parameters = {"prior": "normal"} | objective | SMALL | {"early_stopping": False}
    vae = VAETransformer(2, posterior=posterior, **parameters)
    assert np.isfinite(vae.fit(X).score(X[:20]))
    assert vae.loss_curve_
    vae.set_params(max_iter=0, prior="normal").fit(X)
    np.testing.assert_allclose(vae.score_samples(X[:20]), scores_of_start, rtol=1e-6)


def test_training_lowers_each_objective(digits):
    X, judges = np.split(digits[0] / 16, [150])
    for objective in OBJECTIVES:
        parameters = SMALL | {"max_iter": 10, "hidden_layer_sizes": (16,)}
        vae = VAETransformer(4, **objective, **parameters).fit(X, X_val=judges)
        assert vae.best_loss_ < vae.start_loss_, objective


def test_free_bits_keep_components_from_collapsing():
    random = np.random.RandomState(0)
    X = random.randn(200, 1) * [3, 1, 1] + 0.5 * random.randn(200, 3)
    parameters = {"hidden_layer_sizes": (), "max_iter": 40, "random_state": 0}
    parameters |= {"learning_rate_init": 0.01, "early_stopping": False, "beta": 4.0}
    divergences = []
    for free_bits in (0.0, 0.5):
        vae = VAETransformer(2, free_bits=free_bits, **parameters).fit(X)
        posterior = vae.module_.posterior(torch.from_numpy(X - vae.mean_))
        divergences.append(posterior.divergences().mean(0).min().item())
    assert divergences[0] < 0.1
    assert divergences[1] > 0.3


def test_a_linear_model_is_final_where_nothing_is_to_be_gained(iris):
    parameters = {"hidden_layer_sizes": (), "max_iter": 1, "random_state": 0}
    for final in ({}, {"posterior": "full"}, {"n_importance_samples": 4}):
        assert not VAETransformer(2, **final, **parameters).fit(iris[0]).loss_curve_
    for trained in ({"prior": "gmm"}, {"divergence": "mmd"}, {"free_bits": 1.0}):
        assert VAETransformer(2, **trained, **parameters).fit(iris[0]).loss_curve_


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"n_importance_samples": 0}, "'n_importance_samples' parameter"),
        ({"n_importance_samples": 2.5}, "'n_importance_samples' parameter"),
        ({"kl_warmup": 2}, "'kl_warmup' parameter"),
        ({"kl_warmup": -0.1}, "'kl_warmup' parameter"),
        ({"free_bits": -1}, "'free_bits' parameter"),
        ({"divergence": "js"}, "'divergence' parameter"),
        ({"divergence": None}, "'divergence' parameter"),
        ({"posterior": "low-rank"}, "'posterior' parameter"),
        ({"prior": "no"}, "'prior' parameter"),
        (
            {"n_importance_samples": 5, "divergence": "mmd"},
            "n_importance_samples=5 and divergence='mmd' .* leave divergence at 'kl'",
        ),
        (
            {"n_importance_samples": 5, "divergence": "tc"},
            "n_importance_samples=5 and divergence='tc'",
        ),
        (
            {"n_importance_samples": 5, "free_bits": 0.1},
            "n_importance_samples=5 and free_bits=0.1 .* leave free_bits at 0",
        ),
        (
            {"free_bits": 0.1, "divergence": "tc"},
            "free_bits=0.1 and divergence='tc'",
        ),
        (
            {"free_bits": 0.1, "prior": "vamp"},
            r"prior=Vamp\(\) and free_bits=0.1 .* use prior='normal'",
        ),
        (
            {"divergence": "mmd", "prior": "flow"},
            r"prior=Flow\(\) and divergence='mmd' .* use prior='normal'",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(parameters, match, iris):
    with pytest.raises(ValueError, match=match):
        VAETransformer(2, **parameters).fit(iris[0])


def test_every_divergence_has_an_objective():
    for divergence in DIVERGENCES:
        parts = Variational("full", Normal(), divergence=divergence).build(2, 5)
        assert isinstance(parts["objective"].penalty, DIVERGENCES[divergence])
        assert parts["posterior"] is FullGaussian


def test_the_linear_paths_of_a_vae_of_another_beta_are_trained():
    X = images()
    parameters = SMALL | {"hidden_layer_sizes": (), "max_iter": 1}
    assert VAETransformer(3, **parameters).fit(X).n_iter_ == 0
    assert VAETransformer(3, beta=4.0, **parameters).fit(X).n_iter_ > 0


def test_beta_presses_codes_towards_the_prior():
    X = images(300)
    spread = []
    for beta in (0.1, 1.0, 20.0):
        parameters = LEARNS | {"beta": beta, "early_stopping": False}
        spread.append(VAETransformer(3, **parameters).fit(X).transform(X).std())
    assert spread[0] > spread[1] > spread[2]


def test_a_start_is_sought_by_few_walks_where_rows_are_compared(monkeypatch):
    walks, infer = [], VariationalAutoencoder._infer

    def counted(self, seen):
        walks.append(len(seen))
        return infer(self, seen)

    monkeypatch.setattr(VariationalAutoencoder, "_infer", counted)
    X = np.random.default_rng(0).poisson(3.0, (9, 2))
    parameters = SMALL | {"max_iter": 0, "likelihood": "poisson", "divergence": "mmd"}
    VAETransformer(1, **parameters).fit(X)
    assert len(walks) < 60  # of which 32 judge it
