"""Priors and posteriors: densities that integrate to 1, samples that follow them."""

import copy
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from given import generator
from scipy.special import logsumexp
from scipy.stats import kstest, multivariate_normal, norm
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_info
from torch.distributions import MultivariateNormal
from torch.distributions import kl_divergence as torch_divergence
from waiting import NothingIsWaitedFor

from skae import VAETransformer
from skae.densities.codes import fit_code_mixture
from skae.densities.gaussians import Gaussians
from skae.densities.limits import MAX_KERNELS, most_parts
from skae.fitting import blueprint
from skae.models import conditional
from skae.models.posteriors import POSTERIORS, DiagonalGaussian, FullGaussian
from skae.priors import (
    PRIORS,
    AggregatePosterior,
    Flow,
    Mixture,
    Normal,
    Vamp,
    flow,
)
from skae.priors.couplings import BOUND, N_BINS, Coupling, Spline
from skae.priors.gaussians import MANY_COMPONENTS
from skae.priors.learned import NORMAL_SHARE

SMALL = {
    "hidden_layer_sizes": (8,),
    "max_iter": 4,
    "early_stopping": False,
    "random_state": 0,
}
LEARNED = ("gmm", "vamp", "flow")
SMALLER = {"gmm": Mixture(5), "vamp": Vamp(5), "flow": Flow(3, 8)}


def infer(seen):
    """A posterior of rows of 3 columns, by no network."""
    return DiagonalGaussian(seen[:, : seen.shape[1] - 1], seen[:, 1:].abs() - 2)


def disturbed(name, n_components, seed=0):
    """A prior far from its start, whatever a training would make of it."""
    prior = SMALLER[name] if name in SMALLER else PRIORS.get(name, AggregatePosterior)()
    torch_state = torch.get_rng_state()
    torch.manual_seed(seed)
    module = prior.build(n_components, n_components + 1)
    with torch.no_grad():
        module.initialize_from(torch.randn(40, n_components + 1), torch.ones(40))
        for parameter in module.parameters():
            parameter.add_(
                torch.randn_like(parameter) * (0.2 if name == "flow" else 0.5)
            )
    torch.set_rng_state(torch_state)
    if name == "posterior":
        module.fit(gaussians(n_components), n_codes=9)
    return module.eval()


def gaussians(k):
    """Three with a covariance each, and two that share one."""
    random = np.random.RandomState(3)
    factors = random.randn(4, k, k) * 0.4
    covariances = factors @ factors.mT + 0.1 * np.eye(k)
    shares, means = np.array([0.3, 0.2, 0.1, 0.3, 0.1]), random.randn(5, k)
    few = Gaussians(shares[:3], means[:3], covariances[:3])
    return [few, Gaussians(shares[3:], means[3:], covariances[3:])]


def grid(n_components, half_width=12.0, n=None):
    """Points and the volume of each, of a midpoint rule."""
    n = n or (40_000 if n_components == 1 else 600)
    step = 2 * half_width / n
    axis = torch.linspace(-half_width + step / 2, half_width - step / 2, n)
    axes = torch.meshgrid(*[axis.double()] * n_components, indexing="ij")
    return torch.stack(axes, dim=-1).reshape(-1, n_components), step**n_components


# ------------------------------------------------------------------------- densities


@pytest.mark.parametrize("n_components", [1, 2])
@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_is_a_density_and_its_samples_follow_it(name, n_components):
    prior = disturbed(name, n_components)
    points, volume = grid(n_components)
    with torch.no_grad():
        density = prior.log_prob(points, infer).exp() * volume
        drawn = prior.sample(40_000, generator(), infer)
    assert drawn.dtype == torch.float64
    assert density.sum().item() == pytest.approx(1, abs=2e-4)
    mean = density @ points
    squares = torch.einsum("n,ni,nj->ij", density, points, points)
    found = drawn.T @ drawn / len(drawn)
    error = drawn.std(0).max().item() / len(drawn) ** 0.5
    np.testing.assert_allclose(drawn.mean(0), mean, atol=4.5 * error)
    fourth = (drawn**2).std(0).max().item() / len(drawn) ** 0.5
    np.testing.assert_allclose(found, squares, atol=4.5 * fourth)


@pytest.mark.parametrize("name", LEARNED)
def test_a_sample_has_the_distribution_of_the_density(name):
    prior = disturbed(name, 1, seed=1)
    points, volume = grid(1)
    with torch.no_grad():
        cumulated = (prior.log_prob(points, infer).exp() * volume).cumsum(0)
        drawn = prior.sample(5000, generator(2), infer)
    order = points[:, 0].numpy()
    found = kstest(drawn[:, 0].numpy(), lambda x: np.interp(x, order, cumulated))
    assert found.pvalue > 1e-3


@pytest.mark.parametrize("name", ["posterior", "gmm"])
def test_mixtures_have_the_density_that_scipy_finds(name):
    prior = disturbed(name, 3)
    z = np.random.RandomState(0).randn(50, 3)
    if name == "posterior":
        parts = [
            (0.9 * share, mean, covariance)
            for shares, means, covariances in gaussians(3)
            for share, mean, covariance in zip(
                shares,
                means,
                np.broadcast_to(covariances, (len(shares), 3, 3)),
                strict=True,
            )
        ]
        parts += [(0.1, np.zeros(3), np.eye(3))]
    else:
        shares = prior._log_shares().exp().tolist()
        means, variances = prior.means.detach(), prior.log_variances.detach().exp()
        parts = [(shares[0], np.zeros(3), np.eye(3))]
        parts += [
            (share, mean.numpy(), np.diag(variance.numpy()))
            for share, mean, variance in zip(shares[1:], means, variances, strict=True)
        ]
    wanted = sum(w * multivariate_normal(m, c).pdf(z) for w, m, c in parts)
    with torch.no_grad():
        found = prior.log_prob(torch.from_numpy(z), infer)
    np.testing.assert_allclose(found, np.log(wanted), rtol=1e-5, atol=1e-5)


def test_the_parts_of_a_vamp_prior_are_posteriors_of_its_pseudo_inputs():
    prior = Vamp(4).build(2, 3)
    rows = torch.randn(40, 3, generator=generator())
    prior.initialize_from(rows, torch.ones(40))
    z = torch.randn(20, 2, generator=generator(1))
    parts = infer(rows[[0, 10, 20, 30]])
    densities = parts.log_prob(z[:, None]).exp().mean(1)
    normal = torch.from_numpy(norm.pdf(z.numpy()).prod(1))
    wanted = NORMAL_SHARE * normal + (1 - NORMAL_SHARE) * densities
    found = prior.log_prob(z, infer).exp()
    np.testing.assert_allclose(found.detach(), wanted, rtol=1e-5)


def test_a_vamp_prior_begins_at_rows_that_weigh_as_at_their_copies():
    rows = torch.randn(6, 3, generator=generator())
    weight = torch.tensor([4.0, 1.0, 1.0, 4.0, 1.0, 1.0])
    weighted, copied = Vamp(12).build(2, 3), Vamp(12).build(2, 3)
    weighted.initialize_from(rows, weight)
    copied.initialize_from(rows.repeat_interleave(weight.int(), dim=0), torch.ones(12))
    torch.testing.assert_close(weighted.unit, copied.unit)
    torch.testing.assert_close(weighted.rows, copied.rows)


@pytest.mark.parametrize("n_rows", [1, 3])
def test_a_vamp_prior_begins_at_fewer_rows_than_it_has_pseudo_inputs(n_rows):
    prior = Vamp(7).build(2, 3)
    prior.initialize_from(
        torch.randn(n_rows, 3, generator=generator()), torch.ones(n_rows)
    )
    z = torch.zeros(2, 2)
    assert torch.isfinite(prior.log_prob(z, infer)).all()


# ------------------------------------------------------------------------------ starts


@pytest.mark.parametrize("name", PRIORS)
@pytest.mark.parametrize("n_components", [1, 2, 5])
def test_a_prior_begins_as_the_standard_normal(name, n_components):
    prior = PRIORS[name]().build(n_components, 4).eval()
    z = 3 * torch.randn(500, n_components, generator=generator(), dtype=torch.float64)
    with torch.no_grad():
        tilt = prior.tilt(z, lambda seen: DiagonalGaussian(*[seen[:, :1] * z[:1]] * 2))
    if name in ("gmm", "vamp"):
        assert tilt.min().item() >= np.log(NORMAL_SHARE) - 1e-6
    else:
        assert tilt.abs().max().item() < 1e-5


@pytest.mark.parametrize("prior", ["normal", "gmm", "vamp", "flow"])
@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("likelihood", ["gaussian", "gaussian_diag"])
def test_the_start_is_at_least_that_of_the_standard_normal(
    prior, posterior, likelihood, iris
):
    X = iris[0][:50]
    parameters = SMALL | {"likelihood": likelihood, "max_iter": 0}
    start = VAETransformer(3, **parameters).fit(X)
    other = VAETransformer(3, prior=prior, posterior=posterior, **parameters).fit(X)
    lower = -np.log(NORMAL_SHARE) + 1e-5
    assert (other.score_samples(X) >= start.score_samples(X) - lower).all()
    for found, wanted in zip(
        other.transform(X, return_std=True),
        start.transform(X, return_std=True),
        strict=True,
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)


# ------------------------------------------------------------------------------- flow


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_a_spline_rises_and_its_inverse_undoes_it(scale):
    n = 4001
    numbers = scale * torch.randn(3 * N_BINS - 1, generator=generator()).double()
    spline = Spline.from_numbers(numbers.expand(n, -1))
    x = torch.linspace(-1.4 * BOUND, 1.4 * BOUND, n, dtype=torch.float64)
    y, log_slope = spline(x)
    assert (y.diff() > 0).all()
    np.testing.assert_allclose(spline.inverse(y), x, atol=1e-6)
    x = x.requires_grad_()
    (slope,) = torch.autograd.grad(spline(x)[0].sum(), x)
    np.testing.assert_allclose(log_slope.exp(), slope, rtol=1e-8)
    if scale == 0:
        np.testing.assert_allclose(y.detach(), x.detach(), atol=1e-6)


def test_a_flow_changes_volume_as_its_jacobian_says():
    prior = disturbed("flow", 4)
    z = torch.randn(6, 4, generator=generator(), dtype=torch.float64)

    def bent(z):
        for coupling in prior.couplings:
            z, _ = coupling(z)
        return z

    u = bent(z)
    wanted = torch.from_numpy(norm.logpdf(u.detach().numpy()).sum(1))
    for row, point in enumerate(z):
        jacobian = torch.autograd.functional.jacobian(lambda p: bent(p[None])[0], point)
        wanted[row] += torch.linalg.slogdet(jacobian).logabsdet
    found = prior.log_prob(z, infer).detach()
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


# -------------------------------------------------------------------------- posteriors


def full_posterior(n=5, k=3):
    statistics = torch.randn(
        n, FullGaussian.n_statistics(k), generator=generator(), dtype=torch.float64
    )
    return FullGaussian.from_statistics(statistics, k)


def diagonal_posterior(n=5, k=3):
    statistics = torch.randn(n, 2 * k, generator=generator(), dtype=torch.float64)
    return DiagonalGaussian.from_statistics(statistics, k)


def as_torch(posterior):
    """The same as a distribution of torch's."""
    if isinstance(posterior, FullGaussian):
        return MultivariateNormal(posterior.mean, scale_tril=posterior.factor)
    factor = torch.diag_embed(posterior.std)
    return MultivariateNormal(posterior.mean, scale_tril=factor)


@pytest.mark.parametrize("made", [full_posterior, diagonal_posterior])
def test_a_posterior_is_that_of_torch(made):
    posterior = made()
    wanted = as_torch(posterior)
    noise = torch.randn(5, 3, generator=generator(1), dtype=torch.float64)
    z = posterior.at(noise)
    covariance = wanted.covariance_matrix
    np.testing.assert_allclose(
        z, wanted.mean + (wanted.scale_tril @ noise[..., None])[..., 0]
    )
    np.testing.assert_allclose(posterior.log_prob(z), wanted.log_prob(z))
    pairs = posterior.log_prob(z[:, None])
    np.testing.assert_allclose(pairs, wanted.log_prob(z[:, None]))
    std = covariance.diagonal(dim1=1, dim2=2).sqrt()
    np.testing.assert_allclose(posterior.std, std)
    by_component = norm(wanted.mean, std).logpdf(z)
    np.testing.assert_allclose(posterior.log_marginals(z), by_component)
    normal = MultivariateNormal(torch.zeros_like(z), torch.eye(3).double())
    divergences = posterior.divergences()
    np.testing.assert_allclose(divergences.sum(1), torch_divergence(wanted, normal))
    assert (divergences >= 0).all()


def test_a_full_posterior_finds_what_a_diagonal_one_cannot():
    # Two factors, seen through three columns of which one tells their sum: given the
    # row they depend on each other, and the network rotates nothing.
    random = np.random.RandomState(0)
    Z = random.randn(2000, 2)
    X = np.c_[Z.sum(1), Z[:, :1] ** 2, Z.prod(1)] + 0.3 * random.randn(2000, 3)
    scores = {}
    for posterior in POSTERIORS:
        vae = VAETransformer(
            2,
            posterior=posterior,
            hidden_layer_sizes=(16,),
            max_iter=12,
            learning_rate_init=0.01,
            batch_size=200,
            random_state=0,
        ).fit(X[:1500])
        scores[posterior] = -vae.best_loss_
    assert scores["full"] > scores["diagonal"]
    mean, std = vae.transform(X[:7], return_std=True)
    both = vae.module_.posterior(torch.from_numpy(X[:7] - vae.mean_))
    np.testing.assert_allclose(mean, both.mean.detach(), rtol=1e-6)
    covariance = both.factor @ both.factor.mT
    variances = covariance.diagonal(dim1=1, dim2=2).detach()
    np.testing.assert_allclose(std, variances.sqrt(), rtol=1e-6)
    assert covariance[:, 0, 1].abs().max() > 1e-3


# -------------------------------------------------------------- fitted after a training


def blobs(n_rows=150):
    X, _ = make_blobs(n_rows, 4, centers=3, cluster_std=0.4, random_state=0)
    return X


@pytest.mark.parametrize("name", ["auto", "flow"])
def test_no_step_of_a_training_waits_for_a_prior(name):
    prior = PRIORS.get(name, AggregatePosterior)().build(3, 4)
    with NothingIsWaitedFor():
        tilt = prior.tilt(torch.ones(5, 3), infer)
    torch.testing.assert_close(tilt, torch.zeros(5))


def test_a_prior_that_is_loaded_knows_whether_it_was_fitted():
    fresh, fitted = (AggregatePosterior().build(2, 3) for _ in range(2))
    one = Gaussians(np.ones(1), np.ones((1, 2)), np.eye(2)[None])
    fitted.fit([one], 100)
    other = AggregatePosterior().build(2, 3)
    for prior, is_standard in ((fitted, False), (fresh, True)):
        other.load_state_dict(prior.state_dict())
        assert (prior.is_standard, other.is_standard) == (is_standard, is_standard)
    fitted.fit([], 100)
    assert fitted.is_standard


def seen_types(monkeypatch, kind, name):
    """Types of the first argument with which a method is called, as it goes on."""
    seen, method = [], getattr(kind, name)

    def seeing(self, z):
        seen.append(z.dtype)
        return method(self, z)

    monkeypatch.setattr(kind, name, seeing)
    return seen


def test_a_flow_draws_in_float32_where_float64_is_taken_away(monkeypatch):
    prior = disturbed("flow", 2)
    wide = prior.sample(50, generator(), infer)
    assert wide.dtype == torch.float64
    monkeypatch.setattr(flow, "widest_dtype", lambda device: torch.float32)
    seen = seen_types(monkeypatch, Coupling, "inverse")
    narrow = prior.sample(50, generator(), infer)
    assert set(seen) == {torch.float32}
    assert narrow.dtype == torch.float64
    torch.testing.assert_close(narrow, wide, rtol=1e-3, atol=1e-4)


def test_classes_are_drawn_in_float32_where_float64_is_taken_away(monkeypatch):
    X, y = blobs(60), np.arange(60) % 2
    parameters = {"conditional": True, "max_iter": 0, "hidden_layer_sizes": (8,)}
    wide = VAETransformer(2, random_state=0, **parameters).fit(X, y)
    monkeypatch.setattr(blueprint, "widest_dtype", lambda device: torch.float32)
    narrow = VAETransformer(2, random_state=0, **parameters).fit(X, y)
    seen = seen_types(monkeypatch, conditional._DecoderAboutClass, "coded")
    coded = [
        vae.module_.draw_coded(torch.from_numpy(y), generator())
        for vae in (wide, narrow)
    ]
    assert seen == [torch.float64, torch.float32]
    assert all(z.dtype == torch.float64 for z in coded)
    torch.testing.assert_close(*coded, rtol=1e-3, atol=1e-4)


def test_gaussians_are_fitted_to_the_codes():
    X = blobs(400)
    parameters = SMALL | {"max_iter": 0}
    normal = VAETransformer(2, **parameters).fit(X)
    fitted = VAETransformer(2, prior="posterior", **parameters).fit(X)
    np.testing.assert_array_equal(normal.transform(X), fitted.transform(X))
    assert fitted.score(X) > normal.score(X) + 0.5
    codes = fitted.transform(X)
    drawn = fitted.module_.draw_codes(2000, generator()).numpy()  # as it scored them
    reference = GaussianMixture(3, random_state=0).fit(codes)
    assert reference.score(drawn) > reference.score(
        np.random.RandomState(0).randn(2000, 2)
    )


def test_where_the_codes_are_normal_the_prior_stays_the_standard_normal():
    X = np.random.RandomState(0).randn(500, 3) * [5, 4, 0.1]
    vae = VAETransformer(2, prior="posterior", max_iter=0).fit(X)
    reference = VAETransformer(2, max_iter=0).fit(X)
    np.testing.assert_allclose(vae.score(X[:50]), reference.score(X[:50]))
    assert vae.module_.prior.is_standard


def test_the_prior_is_fitted_by_itself_where_something_was_trained():
    """Else the start would not be probabilistic PCA; and a stream is never whole."""
    X = blobs()
    vae = VAETransformer(2, **SMALL).fit(X)
    vae.score(X[:20])
    assert not vae.module_.prior.is_standard
    for vae in (
        VAETransformer(2, **SMALL | {"max_iter": 0}).fit(X),
        VAETransformer(2, hidden_layer_sizes=()).fit(X),
        VAETransformer(2, **SMALL).partial_fit(X),
        VAETransformer(2, **SMALL).fit(X).partial_fit(X),
        VAETransformer(2, prior="normal", **SMALL).fit(X),
    ):
        assert vae.module_.prior.is_standard


class Counted:
    """Says how often Gaussians were fitted; the first time the user presses Ctrl-C."""

    n_fits = 0

    def __call__(self, *arguments):
        mixture = fit_code_mixture(*arguments)
        self.n_fits += 1
        if self.n_fits == 1:
            raise KeyboardInterrupt
        return mixture


def test_gaussians_of_the_codes_are_fitted_once_they_are_asked_for(monkeypatch):
    counted = Counted()
    monkeypatch.setattr("skae.estimators.fitted_density.fit_code_mixture", counted)
    X = blobs()
    vae = VAETransformer(2, **SMALL).fit(X)
    codes = vae.transform(X)
    vae.transform(X, return_std=True)
    vae.sample_posterior(X)
    np.testing.assert_array_equal(vae.inverse_transform(codes), vae.reconstruct(X))
    vae._repr_mimebundle_()  # asks for every attribute
    opened = pickle.loads(pickle.dumps(vae))
    assert counted.n_fits == 0
    with pytest.raises(KeyboardInterrupt):
        vae.score(X[:20])
    threads, filters = threadpool_info(), list(warnings.filters)
    with ThreadPoolExecutor(3) as pool:
        scores = [*pool.map(vae.score_samples, [X[:20]] * 3)]
    assert (threadpool_info(), warnings.filters) == (threads, filters)
    n_fits = counted.n_fits
    scores.append(vae.score_samples(X[:20]))
    vae.sample(3)
    vae.elbo(X)
    assert counted.n_fits == n_fits
    scores.append(opened.score_samples(X[:20]))
    assert counted.n_fits == n_fits + 1
    for others in scores[1:]:
        np.testing.assert_array_equal(others, scores[0])


@pytest.mark.parametrize("prior", ["auto", "posterior"])
def test_a_training_that_goes_on_is_one_of_as_many_epochs(prior):
    X = blobs()
    parameters = SMALL | {"max_iter": 3}
    twice = VAETransformer(2, prior=prior, warm_start=True, **parameters).fit(X)
    twice.score(X[:20])
    assert not twice.module_.prior.is_standard
    once = VAETransformer(2, prior=prior, **parameters | {"max_iter": 6}).fit(X)
    found, wanted = (vae.score_samples(X[:20]) for vae in (twice.fit(X), once))
    np.testing.assert_array_equal(found, wanted)


def test_a_code_far_from_all_is_hardly_less_likely_than_under_the_standard_normal():
    narrow = AggregatePosterior().build(2, 3)
    narrow.fit([Gaussians(np.ones(1), np.zeros((1, 2)), 1e-4 * np.eye(2)[None])], 99)
    z = torch.tensor([[0.0, 0.0], [3.0, 4.0], [300.0, 400.0]]).double()
    tilt = narrow.tilt(z, infer)
    assert tilt[0] > 9
    np.testing.assert_allclose(tilt[1:], -np.log(100))


def test_there_is_room_for_every_mixture_that_is_tried():
    for n_components in (1, 7, 100, 1500):
        prior = AggregatePosterior().build(n_components, 3)
        assert len(prior.full.offset) == 1 + most_parts(n_components)
        assert prior.full.whiten.weight.numel() <= 2.5 * n_components * max(
            n_components, 1000
        )
        assert len(prior.tied.log_shares) == MAX_KERNELS


def test_draws_of_both_kinds_of_gaussians_have_their_density():
    """Far from the origin, narrow, and in 12 dimensions: as exact as any."""
    random = np.random.RandomState(0)
    means = 3 * random.randn(40, 12)
    for covariances in (np.eye(12)[None] / 400, np.tile(np.eye(12) / 400, (40, 1, 1))):
        prior = AggregatePosterior().build(12, 3)
        prior.fit([Gaussians(np.full(40, 1 / 40), means, covariances)], 1000)
        z = prior.sample(500, generator(), infer)
        nearest = ((z.numpy()[:, None] - means) ** 2).sum(-1).min(1)
        is_near = nearest < 0.2
        assert is_near.mean() > 0.98
        wanted = -nearest * 200 - np.log(40.04) - 6 * np.log(2 * np.pi / 400)
        found = prior.log_prob(z, infer)[is_near]
        np.testing.assert_allclose(found, wanted[is_near], atol=1e-5)


@pytest.mark.parametrize("n_tied", [0, 37])
def test_the_slope_of_gaussians_is_that_of_their_log_density(n_tied):
    random = np.random.RandomState(0)
    roots = random.randn(21, 3, 3) / 4 + np.eye(3)
    parts = [(21, roots @ roots.transpose(0, 2, 1))]
    if n_tied:
        parts.append((n_tied, np.diag([0.01, 0.1, 1.0])[None]))
    total = 21 + n_tied
    some = [Gaussians(np.full(n, 1 / total), random.randn(n, 3), c) for n, c in parts]
    prior = AggregatePosterior().build(3, 4)
    prior.fit(some, 1000)
    z = torch.randn(8, 3, generator=generator(), dtype=torch.float64)
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(lambda z: prior.tilt(z, infer), z.requires_grad_())


def test_gaussians_of_many_components_have_the_same_density():
    random = np.random.RandomState(0)
    for k in (MANY_COMPONENTS - 1, MANY_COMPONENTS):
        means, z = random.randn(5, k), torch.from_numpy(random.randn(20, k))
        roots = random.randn(5, k, k) / k + np.eye(k)
        covariances = roots @ roots.transpose(0, 2, 1)
        prior = AggregatePosterior().build(k, 4)
        prior.fit([Gaussians(np.full(5, 1 / 5), means, covariances)], n_codes=5)
        parts = [(np.zeros(k), np.eye(k)), *zip(means, covariances, strict=True)]
        each = [multivariate_normal(*part).logpdf(z) for part in parts]
        found = prior.log_prob(z, infer)
        np.testing.assert_allclose(found, logsumexp(each, axis=0) - np.log(6))


def test_gaussians_of_codes_are_in_the_units_of_the_codes():
    codes = np.random.RandomState(0).randn(1000, 2) @ [[3, 0.5], [0, 0.1]] + [5, -1]
    mixture = fit_code_mixture(codes, 0)
    assert mixture.gain > 0
    ((shares, means, covariances),) = mixture.gaussians()
    np.testing.assert_allclose(shares @ means, codes.mean(0), atol=1e-3)
    if len(shares) == 1:
        np.testing.assert_allclose(covariances[0], np.cov(codes.T), rtol=1e-2)
    normal = np.random.RandomState(1).randn(1000, 2)
    assert fit_code_mixture(normal, 0).gain <= 0


# ------------------------------------------------------------------------------ users


def test_learned_priors_are_above_the_standard_normal_on_clusters():
    X = blobs(400)
    parameters = {"hidden_layer_sizes": (), "max_iter": 15, "random_state": 0}
    parameters |= {"learning_rate_init": 0.02, "batch_size": 50}
    scores = [
        VAETransformer(2, prior=prior, **parameters).fit(X[:300]).score(X[300:])
        for prior in ("normal", "gmm", "vamp", Flow(2, 8))
    ]
    assert min(scores[1:]) > scores[0] + 0.2


# Each prior, and each posterior; pseudo-inputs ask both of these.
TOGETHER = [
    ("normal", "full"),
    ("posterior", "diagonal"),
    ("gmm", "full"),
    ("vamp", "diagonal"),
    ("vamp", "full"),
    ("flow", "diagonal"),
]


@pytest.mark.parametrize(("name", "posterior"), TOGETHER)
def test_a_fitted_prior_travels_and_goes_on(name, posterior, iris):
    X = iris[0][:50]
    prior = SMALLER.get(name, name)
    vae = VAETransformer(2, prior=prior, posterior=posterior, warm_start=True, **SMALL)
    vae.fit(X)
    drawn = vae.sample(5, random_state=1)
    again = clone(vae).fit(X)
    np.testing.assert_array_equal(again.sample(5, random_state=1), drawn)
    opened, copied = pickle.loads(pickle.dumps(vae)), copy.deepcopy(vae)
    scores, codes = vae.score_samples(X), vae.fit(X).transform(X)
    for other in (opened, copied):
        np.testing.assert_array_equal(other.score_samples(X), scores)
        np.testing.assert_array_equal(other.sample(5, random_state=1), drawn)
        np.testing.assert_array_equal(other.fit(X).transform(X), codes)
    assert np.isfinite(vae.partial_fit(X).score(X))


@pytest.mark.parametrize(("name", "posterior"), TOGETHER)
def test_a_score_does_not_depend_on_other_rows(name, posterior, iris):
    X = iris[0][:50]
    prior = SMALLER.get(name, name)
    vae = VAETransformer(2, prior=prior, posterior=posterior, **SMALL).fit(X)
    one_by_one = np.concatenate([vae.score_samples(row[None]) for row in X[:3]])
    np.testing.assert_array_equal(vae.score_samples(X)[:3], one_by_one)


@pytest.mark.parametrize("likelihood", ["bernoulli", "poisson", "negative_binomial"])
def test_pseudo_inputs_are_rows_as_the_encoder_sees_them(likelihood):
    X = np.random.RandomState(0).randint(0, 2, (60, 5)).astype(float)
    vae = VAETransformer(2, prior=Vamp(3), likelihood=likelihood, **SMALL)
    vae.fit(X + (likelihood != "bernoulli"))
    assert np.isfinite(vae.score(X[:20] + (likelihood != "bernoulli")))


@pytest.mark.parametrize(
    ("prior", "match"),
    [
        ("no", "prior"),
        (None, "prior"),
        (Normal, "prior=Normal is a class"),
        (Mixture(0), "prior__n_parts=0 must be an integer of 1 or more"),
        (Vamp(2.5), "prior__n_pseudo_inputs=2.5 must be"),
        (Flow(-1), "prior__n_couplings=-1 must be"),
        (Flow(2, True), "prior__n_hidden=True must be"),
    ],
)
def test_a_wrong_prior_is_refused(prior, match, iris):
    with pytest.raises((ValueError, TypeError), match=match):
        VAETransformer(2, prior=prior).fit(iris[0])


def test_settings_of_a_prior_are_found_by_set_params(iris):
    vae = VAETransformer(2, prior=Mixture(4), **SMALL).set_params(prior__n_parts=6)
    assert len(vae.fit(iris[0]).module_.prior.means) == 6
    assert vae.prior.n_parts == 6
