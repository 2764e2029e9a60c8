"""Gradients written out are those of autograd, and wait for nothing."""

import pytest
import torch
from given import built, generator, tensors
from waiting import NothingIsWaitedFor

from skae.likelihoods import LIKELIHOODS, counts
from skae.models.coders import Autoencoder
from skae.models.objectives import PenalisedBound
from skae.models.paths import Path
from skae.models.penalties import KullbackLeibler
from skae.models.posteriors import DiagonalGaussian
from skae.models.refinement import Refinement
from skae.models.variational import VariationalAutoencoder
from skae.networks import ACTIVATIONS, MLP, FixedLinear, products
from skae.priors import Normal as NormalPrior
from skae.training import solvers
from skae.training.weights import FlatParameters, WorkingWeights


def path(n_inputs, n_outputs, activation, from_pca):
    network = MLP((5, 4), activation).build(n_inputs, n_outputs, zero_last=False)
    linear = FixedLinear(n_inputs, n_outputs) if from_pca else None
    made = Path(network, linear, n_inputs, n_outputs, has_center=True, has_offset=True)
    values = tensors(n_inputs, n_outputs, n_inputs, n_outputs, (n_outputs, n_inputs))
    with torch.no_grad():
        made.set_start(
            center=values[0],
            offset=values[1],
            unit=values[2].abs(),
            gain=values[3].abs(),
            weight=values[4] if from_pca else None,
        )
    return made


def model_of_parts(is_variational, likelihood, activation, from_pca):
    torch_state = torch.get_rng_state()
    torch.manual_seed(0)
    n_statistics = 4 if is_variational else 2
    encoder = path(6, n_statistics, activation, from_pca)
    decoder = path(2, 6, activation, from_pca)
    torch.set_rng_state(torch_state)
    noise = built(LIKELIHOODS[likelihood](), 6)
    if is_variational:
        return VariationalAutoencoder(
            encoder,
            decoder,
            noise,
            posterior=DiagonalGaussian,
            prior=NormalPrior().build(2, 6),
            objective=PenalisedBound(KullbackLeibler(0.7)),
        )
    return Autoencoder(encoder, decoder, noise, Refinement(2, n_steps=0))


@pytest.mark.parametrize("is_variational", [False, True])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("from_pca", [True, False])
def test_the_gradient_written_out_is_that_of_autograd(
    is_variational, likelihood, activation, from_pca
):
    model = model_of_parts(is_variational, likelihood, activation, from_pca)
    model.train()
    assert model.has_derivative
    x = torch.rand((9, 6), generator=generator(1))
    if likelihood == "categorical":
        x = torch.eye(6)[[0, 1, 2, 3, 4, 5, 5, 4, 1]]
    row_factor = torch.rand(9, generator=generator(2))
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}

    loss = model.row_losses(x, generator()) @ row_factor
    wanted = torch.autograd.grad(loss, list(trained.values()))
    parameters = FlatParameters(model)
    for p in trained.values():
        p.grad.fill_(7.0)
    working = WorkingWeights(parameters, torch.float32, len(x))
    with torch.no_grad():
        derivative = model.written_out(working)
        found = derivative.loss_and_grad(x, row_factor, generator())
    assert found.item() == pytest.approx(loss.item(), rel=1e-5)
    for (name, p), gradient in zip(trained.items(), wanted, strict=True):
        scale = gradient.abs().max().item() + 1e-6
        difference = (p.grad - gradient).abs().max().item()
        assert difference <= 1e-4 * scale, name
    with torch.no_grad():
        losses = derivative.row_losses(x, generator())
        torch.testing.assert_close(losses, model.row_losses(x, generator()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_matrices_of_few_columns_may_lie_column_by_column(dtype):
    x = torch.rand((9, 6), generator=generator(1))
    found = []
    for column_major in (False, True):
        model = model_of_parts(False, "gaussian", "silu", True)
        first = model.decoder.network[0].weight  # two columns
        before = first.detach().clone()
        parameters = FlatParameters(model, column_major=column_major)
        working = WorkingWeights(parameters, dtype, len(x))
        assert all(t.t().is_contiguous() is column_major for t in working[first])
        torch.testing.assert_close(first.detach(), before, rtol=0, atol=0)
        with torch.no_grad():
            derivative = model.written_out(working)
            loss = derivative.loss_and_grad(x, torch.ones(9) / 9, generator())
            working.return_gradients()
        gradients = [p.grad.clone() for p in parameters.trained]
        parameters.release()
        assert first.is_contiguous()
        found.append([loss, *gradients, *(p.detach() for p in parameters.trained)])
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(*found, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("is_variational", [False, True])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_a_step_on_the_cpu_has_no_operation_that_waits_for_a_gpu(
    is_variational, likelihood, monkeypatch
):
    if "poisson" in likelihood or "binomial" in likelihood:
        # What the CPU does instead would wait.
        monkeypatch.setattr(counts, "_at_counts", counts._everywhere)
    model = model_of_parts(is_variational, likelihood, "silu", True)
    x = torch.eye(6)[[0, 1, 2, 3, 4, 5, 5, 4, 1]]
    parameters = FlatParameters(model)
    derivative = model.written_out(WorkingWeights(parameters, torch.float32, len(x)))
    optimizer = solvers.FusedAdam(
        [{"params": parameters.decayed, "weight_decay": 0.0}], 0.01, torch._fused_adam_
    )
    with torch.no_grad(), NothingIsWaitedFor():
        optimizer.step(
            lambda: derivative.loss_and_grad(x, torch.ones(9) / 9, generator())
        )


def test_gamma_functions_of_all_counts_are_those_of_counts_above_0():
    x = torch.tensor([[0.0, 1.0, 7.0], [0.0, 0.0, 1e5]])
    theta = torch.tensor([0.3, 2.0, 40.0])

    def rising(x, t):
        return torch.lgamma(x + t) - torch.lgamma(t)

    found = counts._everywhere(x, theta, rising)
    torch.testing.assert_close(found, counts._at_counts(x, theta, rising))


def test_counts_that_are_not_on_the_cpu_are_not_looked_at():
    x = torch.empty(2, 3, device="meta")  # has no values to be looked at
    there = counts._at_counts(x, None, lambda x, _: torch.lgamma(x + 1))
    assert (there.shape, there.dtype) == (x.shape, x.dtype)


@pytest.mark.parametrize("is_unused", [True, False])
def test_products_are_onednns_where_half_of_the_processor_is_unused(
    is_unused, monkeypatch
):
    monkeypatch.setattr(products, "is_half_unused", lambda: is_unused)
    monkeypatch.setattr(products, "_onednn_linear", torch.nn.functional.linear)
    cpu, size = torch.device("cpu"), products.LARGE_PRODUCT
    assert products.is_onednn_faster(size, torch.float32, cpu) == is_unused
    assert not products.is_onednn_faster(size - 1, torch.float32, cpu)
