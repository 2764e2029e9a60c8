"""Solvers: optimizers by name, or of a class of the user's.

They work on the parameters of :mod:`skae.training.weights`.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

import numpy as np
import torch

__all__ = [
    "SOLVERS",
    "FusedAdam",
    "hyperparameters",
    "load_state",
    "make_optimizer",
    "solver_name",
    "switches",
]


# Of Adam's steps: how fast its means forget, and what keeps it from dividing by 0.
BETAS = (0.9, 0.999)
EPSILON = 1e-8


class FusedAdam:
    """Adam by torch's fused kernel, in one call.

    torch's optimizer calls it too. What it does around that takes longer than the step
    of a small network, and loads torch's compiler, which takes longer than a small fit.

    Parameters
    ----------
    groups : list of dict
        Of ``params`` and their ``weight_decay``.

    lr : float
        Of all groups.

    kernel : callable
        ``torch._fused_adam_`` or ``torch._fused_adamw_``.
    """

    def __init__(self, groups, lr, kernel):
        self.param_groups = [{**group, "lr": lr} for group in groups]
        self.kernel = kernel
        device = groups[0]["params"][0].device
        # A recorded step reads the rate where it lies; a CPU is faster with a number.
        self.rate = None
        if device.type != "cpu":
            self.rate = torch.zeros((), dtype=torch.float32, device=device)
        self.follow_rate()
        self._go_on({p: _moments(p) for p in self._parameters()})

    def _parameters(self):
        return [p for group in self.param_groups for p in group["params"]]

    def _go_on(self, state):
        """Go on from what is remembered.

        Parameters of one type that decay alike take one step; a GPU's kernel works on
        no others together.
        """
        self.state, self._steps = state, []
        for decay, groups in groupby(self.param_groups, itemgetter("weight_decay")):
            alike = [p for group in groups for p in group["params"]]
            for dtype in dict.fromkeys(p.dtype for p in alike):
                parameters = [p for p in alike if p.dtype == dtype]
                memory = [
                    [state[p][name] for p in parameters]
                    for name in ("exp_avg", "exp_avg_sq", "step")
                ]
                self._steps.append((decay, parameters, *memory))

    def step(self, closure):
        """Take a step; give what the closure returned."""
        loss = closure()
        rate = self.param_groups[0]["lr"] if self.rate is None else self.rate
        for decay, parameters, means, squares, counts in self._steps:
            torch._foreach_add_(counts, 1)
            self.kernel(
                parameters,
                [p.grad for p in parameters],
                means,
                squares,
                [],
                counts,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=rate,
                weight_decay=decay,
                eps=EPSILON,
                maximize=False,
            )
        return loss

    def follow_rate(self):
        """Bring the learning rate, as it is now, to where the weights are."""
        if self.rate is not None:
            self.rate.fill_(self.param_groups[0]["lr"])

    def state_dict(self):
        """Give what going on later takes, as torch's optimizers do."""
        return {
            "state": dict(enumerate(self.state.values())),
            "param_groups": [
                {name: group[name] for name in ("lr", "weight_decay")}
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state):
        """Go on from a :meth:`state_dict`."""
        groups = zip(self.param_groups, state["param_groups"], strict=True)
        for group, stored in groups:
            group.update(stored)
        self.follow_rate()
        moments = zip(self._parameters(), state["state"].values(), strict=True)
        self._go_on(
            {p: {k: m.to(p.device) for k, m in stored.items()} for p, stored in moments}
        )


def _moments(parameter):
    """Adam's memory of a parameter, before its first step."""
    return {
        "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
        "exp_avg": torch.zeros_like(parameter, requires_grad=False),
        "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
    }


@dataclass(frozen=True)
class Solver:
    """An optimizer by name: its class, arguments and usual learning rate.

    Where torch has a fused step, on some kinds of device, it is taken: by the class, or
    by its kernel.
    """

    optimizer: type
    learning_rate: float
    arguments: dict = field(default_factory=dict)
    fused_on: tuple[str, ...] = ()
    kernel: Callable | None = None


# Where torch has fused steps; Adagrad's came to CUDA late, about with torch 2.12.
FUSED_ON = ("cpu", "cuda")

SOLVERS = {
    "adam": Solver(
        torch.optim.Adam, 2e-3, fused_on=FUSED_ON, kernel=torch._fused_adam_
    ),
    "adamw": Solver(
        torch.optim.AdamW, 2e-3, fused_on=FUSED_ON, kernel=torch._fused_adamw_
    ),
    "sgd": Solver(
        torch.optim.SGD, 3e-3, {"momentum": 0.9, "nesterov": True}, fused_on=FUSED_ON
    ),
    "rmsprop": Solver(torch.optim.RMSprop, 1e-3),
    "adagrad": Solver(torch.optim.Adagrad, 1e-2, fused_on=("cpu",)),
}


class OwnOptimizer:
    """An optimizer of a class of the user's.

    Its step may call for the loss several times, take the gradients off the parameters,
    and return what it likes.

    Parameters
    ----------
    solver : type or functools.partial
        By which it was made.

    made : torch.optim.Optimizer

    parameters : FlatParameters
    """

    def __init__(self, solver, made, parameters):
        self.solver, self.made, self.parameters = solver, made, parameters
        self.state_dict, self.load_state_dict = made.state_dict, made.load_state_dict

    @property
    def param_groups(self):
        """Groups of parameters, and what each is worked with."""
        return self.made.param_groups

    def step(self, closure):
        """Take a step; give what the closure returned first."""
        losses, is_ours = [], False

        def asked():
            nonlocal is_ours
            is_ours = True
            self.parameters.attach_gradients()
            losses.append(closure())
            is_ours = False
            return losses[-1]

        try:
            self.made.step(asked)
        except Exception as error:
            if is_ours:
                raise
            raise ValueError(
                f"solver={self.solver!r} fails at its step: {error}; use another "
                f"class, or one of {sorted(SOLVERS)}."
            ) from error
        if not losses:
            raise ValueError(
                f"solver={self.solver!r} has a step that does not call its closure, by "
                "which it is given the loss and the gradient."
            )
        return losses[0]


def make_optimizer(settings, parameters):
    """Instantiate the optimizer on the parameters.

    A solver by name works element by element and gets the flat tensors; a class of
    the user's may look at matrices, and gets the layers' own.
    """
    if isinstance(settings.solver, str):
        groups = _groups(parameters.decayed, parameters.undecayed, settings.alpha)
        return _make_named(SOLVERS[settings.solver], groups, settings.learning_rate)
    try:
        made = _make_own(settings, parameters.trained)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"solver={settings.solver!r} does not take this network's parameters: "
            f"{error}; use another class, or one of {sorted(SOLVERS)}."
        ) from error
    return OwnOptimizer(settings.solver, made, parameters)


def _groups(decayed, undecayed, alpha):
    """Say which parameters decay, as optimizers want it; there are always some.

    Without an ``alpha`` they decay as the optimizer has it.
    """
    decay = {} if alpha is None else {"weight_decay": alpha}
    groups = [
        {"params": decayed, **decay},
        {"params": undecayed, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _make_named(solver, groups, learning_rate):
    """Instantiate a solver by name, its steps fused where torch has them so."""
    if groups[0]["params"][0].device.type not in solver.fused_on:
        return solver.optimizer(groups, lr=learning_rate, **solver.arguments)
    if solver.kernel is not None:
        return FusedAdam(groups, learning_rate, solver.kernel)
    return solver.optimizer(groups, lr=learning_rate, fused=True, **solver.arguments)


def solver_name(solver):
    """Name of a solver, by which a state that was stored is known to be its own."""
    if isinstance(solver, str):
        return solver
    return getattr(solver, "func", solver).__qualname__


def hyperparameters(optimizer):
    """Give what an optimizer works with, group by group."""
    return [
        {name: value for name, value in group.items() if name != "params"}
        for group in optimizer.param_groups
    ]


def switches(made_with):
    """Say what optimizers do besides, on which it depends what they remember.

    A fused step remembers what others do, and not every device has one.
    """
    return [
        {
            name: value
            for name, value in group.items()
            if isinstance(value, bool) and name != "fused"
        }
        for group in made_with
    ]


def load_state(optimizer, state, settings, made_with):
    """Go on with the state of another optimizer of the same parameters.

    Fused steps trust the sizes of what they are given, and read beyond what is too
    short; so a state that does not fit is refused.

    Parameters
    ----------
    optimizer : optimizer
        As it was made.

    state : dict
        Of the other.

    settings : Settings

    made_with : list of dict
        :func:`hyperparameters` of the other when it was made. What is asked for anew
        counts; what training has made of the rest stays.
    """
    groups, asked = state["param_groups"], hyperparameters(optimizer)
    groups = [
        group | {k: v for k, v in now.items() if not np.array_equal(v, then.get(k))}
        for group, now, then in zip(groups, asked, made_with, strict=True)
    ]
    optimizer.load_state_dict(state | {"param_groups": groups})
    if not isinstance(settings.solver, str):
        return
    for parameter, moments in optimizer.state.items():
        for name, moment in moments.items():
            is_count = name == "step"
            shape = torch.Size([]) if is_count else parameter.shape
            dtype = torch.float32 if is_count else parameter.dtype
            if moment is not None and not _is_of(moment, shape, dtype):
                raise ValueError(
                    f"The stored state of solver={settings.solver!r} does not fit this "
                    f"network: {name!r} has to be a tensor of {dtype} of shape "
                    f"{tuple(shape)}; fit again with warm_start=False."
                )


def _is_of(moment, shape, dtype):
    is_tensor = isinstance(moment, torch.Tensor)
    return is_tensor and moment.dtype == dtype and moment.shape == shape


def _make_own(settings, parameters):
    """Instantiate an optimizer class of the user's."""
    arguments = {}
    if settings.learning_rate is not None:
        arguments["lr"] = settings.learning_rate
    made = settings.solver(_taken_by(settings, parameters), **arguments)
    if not all("lr" in group for group in made.param_groups):
        raise ValueError("it gives them no 'lr', which changes from epoch to epoch")
    return made


def _taken_by(settings, parameters):
    """Give the parameters in groups that decay and do not, where a class decays any."""
    if "weight_decay" not in inspect.signature(settings.solver).parameters:
        if settings.alpha:
            raise ValueError("alpha needs a weight_decay; set alpha=0")
        return parameters
    decayed = [p for p in parameters if p.ndim >= 2]
    undecayed = [p for p in parameters if p.ndim < 2]
    return _groups(decayed, undecayed, settings.alpha)
