"""Weights: the parameters of a training in one flat tensor.

All float32 parameters live in it, and the layers are views: first those that ``alpha``
decays (matrices and kernels), then those that it does not (biases, gains, noise). So
the optimizer's step, measuring the gradient and keeping the best weights are one call
each, however many layers there are.
"""

import torch
from torch import nn

__all__ = ["FlatParameters", "KeptBuffers", "WorkingWeights"]

# A matrix of fewer columns, and of more rows, is multiplied faster where it lies column
# by column: some kernels for its gradient take up to four times as long row by row.
FEW_COLUMNS = 64


class FlatParameters:
    """The trained parameters of a model as views of one flat tensor.

    Parameters that are not float32 stay as they are, one tensor each. Buffers are
    not optimised but belong to the weights that are kept.

    Parameters
    ----------
    model : nn.Module

    column_major : bool, default=False
        Whether matrices of few columns lie column by column meanwhile: what works
        with them has to expect that.

    Attributes
    ----------
    trained : list of nn.Parameter
        All of them.

    matrices, others : list of nn.Parameter
        Those that are views: of two or more axes, and of fewer.

    decayed, undecayed : list of nn.Parameter
        What an optimizer that works element by element gets in their place.

    gradient : list of torch.Tensor
        The whole gradient, in as few tensors as can be.
    """

    def __init__(self, model, *, column_major=False):
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self._column_major = column_major
        plain = [p for p in self.trained if p.dtype == torch.float32]
        self.matrices = [p for p in plain if p.ndim >= 2]
        self.others = [p for p in plain if p.ndim < 2]
        self.decayed, self.undecayed = [], []
        weights, self.gradient = [], []
        if plain:
            flat = torch.cat([self._in_memory(p) for p in self.matrices + self.others])
            gradient = torch.zeros_like(flat)
            weights, self.gradient = [flat], [gradient]
            n_decayed = sum(p.numel() for p in self.matrices)
            first, last = slice(n_decayed), slice(n_decayed, None)
            self.decayed = self._as_views(self.matrices, flat[first], gradient[first])
            self.undecayed = self._as_views(self.others, flat[last], gradient[last])
        for p in self.trained:
            if p.dtype != torch.float32:
                p.grad = torch.zeros_like(p)
                (self.decayed if p.ndim >= 2 else self.undecayed).append(p)
                weights.append(p.data)
                self.gradient.append(p.grad)
        self._gradients = [p.grad for p in self.trained]
        self._model, self._weights = model, weights

    def clear_gradient(self):
        """Set the gradient to zero."""
        for gradient in self.gradient:
            gradient.zero_()

    def attach_gradients(self):
        """Give the parameters their gradients back, which an optimizer may take off."""
        for p, gradient in zip(self.trained, self._gradients, strict=True):
            p.grad = gradient

    def copy(self):
        """Copy of all weights, to go back to."""
        weights = [tensor.detach().clone() for tensor in self._weights]
        return weights, KeptBuffers(self._model)

    def restore(self, copied):
        """Go back to a copy."""
        weights, buffers = copied
        with torch.no_grad():
            for tensor, value in zip(self._weights, weights, strict=True):
                tensor.copy_(value)
            buffers.put_back()

    def release(self):
        """Give every parameter a memory of its own again."""
        for p in self.trained:
            p.data = p.data.clone(memory_format=torch.contiguous_format)
            p.grad = None

    def split_like(self, parameters, *flat):
        """Give each parameter with views of flat tensors in its shape."""
        sizes = [p.numel() for p in parameters]
        for p, *views in zip(parameters, *(t.split(sizes) for t in flat), strict=True):
            yield p, *(self._shaped(p, view) for view in views)

    def _as_views(self, parameters, weights, gradient):
        """Make parameters views of flat tensors; give these as a parameter, if any."""
        for p, value, own in self.split_like(parameters, weights, gradient):
            p.data, p.grad = value, own
        if not parameters:
            return []
        whole = nn.Parameter(weights)
        whole.grad = gradient
        return [whole]

    def _is_column_major(self, p):
        """Whether a parameter lies column by column."""
        if not self._column_major or p.ndim != 2:
            return False
        n_rows, n_columns = p.shape
        return n_columns < min(n_rows, FEW_COLUMNS)

    def _in_memory(self, p):
        """Give the numbers of a parameter in the order in which they are to lie."""
        return (p.data.t() if self._is_column_major(p) else p.data).flatten()

    def _shaped(self, p, numbers):
        """Give numbers that lie like those of a parameter its shape."""
        if self._is_column_major(p):
            return numbers.view(p.shape[::-1]).t()
        return numbers.view(p.shape)


class KeptBuffers:
    """The buffers of a model as they are now, to be put back.

    A network may make one only as it runs, or assign it anew (a running mean, say), and
    in another shape. One that is still the same tensor keeps its memory, where a
    recorded step looks for it.

    Parameters
    ----------
    model : nn.Module
    """

    def __init__(self, model):
        self._kept = [
            (
                module,
                {name: (b, _copied(b)) for name, b in dict(module._buffers).items()},
            )
            for module in model.modules()
        ]

    def put_back(self):
        """Give each its numbers, and have no others."""
        for module, kept in self._kept:
            now = dict(module._buffers)
            for name in now.keys() - kept.keys():
                delattr(module, name)
            for name, (buffer, value) in kept.items():
                is_there = buffer is not None and now.get(name) is buffer
                if is_there and _has_room(buffer, value):
                    buffer.copy_(value)
                else:
                    setattr(module, name, _copied(value))


def _copied(buffer):
    """Copy a buffer; one that is yet to be made is None."""
    return None if buffer is None else buffer.detach().clone()


def _has_room(buffer, value):
    """Whether a buffer can take numbers where it is, which one spread out cannot."""
    return buffer.shape == value.shape and buffer.is_contiguous()


class WorkingWeights:
    """The weights of a model as the products of one training use them.

    In float32 they and their gradients are the parameters' own. In another type the
    weights are copies, and so are the gradients of the matrices: the one are brought
    up to date by :meth:`refresh`, the others given back by :meth:`return_gradients`.

    Parameters
    ----------
    parameters : FlatParameters

    dtype : torch.dtype
        Of the products.

    batch_size : int
        Rows of a batch, by which kernels are chosen.
    """

    def __init__(self, parameters, dtype, batch_size):
        self.dtype, self.batch_size = dtype, batch_size
        self._pairs = {p: (p.data, p.grad) for p in parameters.trained}
        self._weights, self._gradients = [], []
        if dtype != torch.float32:
            self._copy(parameters, parameters.matrices, parameters.decayed[0])
            self._copy(parameters, parameters.others, parameters.undecayed[0])
            flat = parameters.decayed[0].grad
            copy = torch.zeros_like(flat, dtype=dtype)
            self._gradients = [(flat, copy)]
            for p, gradient in parameters.split_like(parameters.matrices, copy):
                self._pairs[p] = self._pairs[p][0], gradient

    def _copy(self, parameters, some, flat):
        copy = flat.detach().to(self.dtype)
        self._weights.append((copy, flat.detach()))
        for p, value in parameters.split_like(some, copy):
            self._pairs[p] = value, p.grad

    def refresh(self):
        """Bring the copies up to date with the weights."""
        for copy, flat in self._weights:
            copy.copy_(flat)

    def return_gradients(self):
        """Give the gradients of the copies to the weights."""
        for flat, copy in self._gradients:
            flat.copy_(copy)

    def __getitem__(self, parameter):
        """Value and gradient of a parameter."""
        return self._pairs[parameter]
