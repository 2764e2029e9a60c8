"""Solvers: optimizers by name, and the parameters they work on.

All float32 parameters live in two flat tensors, of which the layers are views: one
that ``alpha`` decays (matrices and kernels) and one that it does not (biases, gains,
noise). So the optimizer's step, clearing the gradient and keeping the best weights
are one call each, however many layers there are.
"""

import inspect
from dataclasses import dataclass, field

import torch
from torch import nn

__all__ = ["SOLVERS", "FlatParameters", "load_state", "make_optimizer"]


@dataclass(frozen=True)
class Solver:
    """An optimizer by name: its class, arguments and usual learning rate."""

    optimizer: type
    learning_rate: float
    arguments: dict = field(default_factory=dict)
    has_fused_step: bool = False


SOLVERS = {
    "adam": Solver(torch.optim.Adam, 2e-3, has_fused_step=True),
    "adamw": Solver(torch.optim.AdamW, 2e-3, has_fused_step=True),
    "sgd": Solver(
        torch.optim.SGD, 3e-3, {"momentum": 0.9, "nesterov": True}, has_fused_step=True
    ),
    "rmsprop": Solver(torch.optim.RMSprop, 1e-3),
    "adagrad": Solver(torch.optim.Adagrad, 1e-2, has_fused_step=True),
}


class FlatParameters:
    """The trained parameters of a model as views of a few flat tensors.

    Parameters that are not float32 stay as they are, one tensor each. Buffers are
    not optimised but belong to the weights that are kept.
    """

    def __init__(self, model):
        self.views = [p for p in model.parameters() if p.requires_grad]
        self._buffers = list(model.buffers())
        plain = [p for p in self.views if p.dtype == torch.float32]
        self.decayed = self._flatten([p for p in plain if p.ndim >= 2])
        self.undecayed = self._flatten([p for p in plain if p.ndim < 2])
        for p in self.views:
            if p.dtype != torch.float32:
                p.grad = torch.zeros_like(p)
                (self.decayed if p.ndim >= 2 else self.undecayed).append(p)
        self._tensors = [*self.decayed, *self.undecayed]
        self._lowered = None
        self.device = self.views[0].device

    @staticmethod
    def _flatten(parameters):
        if not parameters:
            return []
        flat = nn.Parameter(torch.cat([p.data.reshape(-1) for p in parameters]))
        flat.grad = torch.zeros_like(flat)
        position = 0
        for p in parameters:
            end = position + p.numel()
            p.data = flat.data[position:end].view_as(p)
            p.grad = flat.grad[position:end].view_as(p)
            position = end
        return [flat]

    def working(self, dtype):
        """Matrices and their gradients in the type of the products.

        Returns
        -------
        dict
            From each matrix to its value and its gradient, which are copies in another
            type than float32: see :meth:`lower` and :meth:`lift`.
        """
        matrices = [p for p in self.views if p.ndim >= 2]
        if dtype == torch.float32:
            return {p: (p.data, p.grad) for p in matrices}
        (flat,) = self.decayed
        value = flat.detach().to(dtype)
        gradient = torch.zeros_like(value)
        self._lowered = flat, value, gradient
        sizes = [p.numel() for p in matrices]
        pairs = zip(value.split(sizes), gradient.split(sizes), strict=True)
        return {
            p: (v.view_as(p), g.view_as(p))
            for p, (v, g) in zip(matrices, pairs, strict=True)
        }

    def lower(self):
        """Bring the copies up to date with the weights."""
        if self._lowered is not None:
            flat, value, _ = self._lowered
            value.copy_(flat.detach())

    def lift(self):
        """Bring the gradient up to date with its copy."""
        if self._lowered is not None:
            flat, _, gradient = self._lowered
            flat.grad.copy_(gradient)

    def clear_gradient(self):
        """Set the gradient to zero."""
        for tensor in self._tensors:
            tensor.grad.zero_()

    def copy(self):
        """Copy of all weights."""
        with torch.no_grad():
            return [t.detach().clone() for t in (*self._tensors, *self._buffers)]

    def restore(self, weights):
        """Go back to a copy."""
        with torch.no_grad():
            for tensor, kept in zip(
                (*self._tensors, *self._buffers), weights, strict=True
            ):
                tensor.copy_(kept)

    def release(self):
        """Give every parameter a memory of its own again."""
        for p in self.views:
            p.data = p.data.clone()
            p.grad = None


def make_optimizer(settings, parameters):
    """Instantiate the optimizer on the parameters.

    A solver by name works element by element and gets the flat tensors; a class of
    the user's may look at matrices, and gets the layers' own.
    """
    if isinstance(settings.solver, str):
        solver = SOLVERS[settings.solver]
        arguments = dict(solver.arguments)
        if solver.has_fused_step and parameters.device.type in ("cpu", "cuda"):
            arguments["fused"] = True
        groups = [
            {"params": parameters.decayed, "weight_decay": settings.alpha},
            {"params": parameters.undecayed, "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        return solver.optimizer(groups, lr=settings.learning_rate, **arguments)
    try:
        return _make_own(settings, parameters.views)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"solver={settings.solver!r} does not take this network's parameters: "
            f"{error}; use another class, or one of {sorted(SOLVERS)}."
        ) from error


def load_state(optimizer, state, settings):
    """Go on with the state of another optimizer of the same parameters.

    Fused steps trust the sizes of what they are given, and read beyond what is too
    short; so a state that does not fit is refused.
    """
    optimizer.load_state_dict(state)
    if not isinstance(settings.solver, str):
        return
    for parameter, moments in optimizer.state.items():
        for name, moment in moments.items():
            shape = torch.Size([]) if name == "step" else parameter.shape
            if moment is not None and not _is_float_of(moment, shape):
                raise ValueError(
                    f"The stored state of solver={settings.solver!r} does not fit this "
                    f"network: {name!r} has to be a tensor of floats of shape "
                    f"{tuple(shape)}; fit again with warm_start=False."
                )


def _is_float_of(moment, shape):
    is_float = isinstance(moment, torch.Tensor) and moment.is_floating_point()
    return is_float and moment.shape == shape


def _make_own(settings, parameters):
    """Instantiate an optimizer class of the user's."""
    arguments = {}
    accepted = inspect.signature(settings.solver).parameters
    if settings.learning_rate is not None:
        arguments["lr"] = settings.learning_rate
    if not settings.alpha:
        return settings.solver(parameters, **arguments)
    if "weight_decay" not in accepted:
        raise ValueError(f"alpha={settings.alpha!r} needs a weight_decay; set alpha=0")
    decayed = [p for p in parameters if p.ndim >= 2]
    undecayed = [p for p in parameters if p.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": settings.alpha},
        {"params": undecayed, "weight_decay": 0.0},
    ]
    return settings.solver(groups, **arguments)
