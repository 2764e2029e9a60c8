"""Conditional use: one variational autoencoder for each class, sharing almost all.

    z | y ~ m_y + s_y p        p the prior, m_y and s_y of each class
    x | z, y                   the decoder sees the code and the class
    z | x ~ q(z | x)           the encoder does not: rows without a class have codes

In the code (z - m_y) / s_y the model of a class is a variational autoencoder like any
other; :meth:`ConditionalAutoencoder.given` makes it, and what holds of the one (its
loss, its evidence, its draws) is asked of the other.

It starts at probabilistic PCA of all rows, with the m_y and s_y at which the bound is
highest there: the moments of the codes of each class. What that leaves of the mean of
a class is added to its predictor, as far as it is more than chance. While it learns, a
row has its class beside it, as one more column.
"""

import torch
from torch import nn
from torch.nn import functional

from .class_start import ClassMoments, ClassResiduals
from .variational import VariationalAutoencoder

__all__ = ["ConditionalAutoencoder", "LinearWithClass"]


class LinearWithClass(nn.Module):
    """A linear map of the code, and what each class adds to it.

    Parameters
    ----------
    linear : nn.Module
        With a buffer ``weight`` of shape (n_outputs, n_components).

    added : nn.Module
        With one of shape (n_outputs, n_classes).
    """

    def __init__(self, linear, added):
        super().__init__()
        self.linear, self.added = linear, added

    @property
    def weight(self):
        """The matrix."""
        return self.linear.weight

    def forward(self, coded):
        """Map codes, with or without their classes beside them."""
        n_components = self.weight.shape[1]
        y = self.linear(coded[..., :n_components])
        if coded.shape[-1] == n_components:
            return y
        return y + self.added(coded[..., n_components:])


class ConditionalAutoencoder(VariationalAutoencoder):
    """A variational autoencoder that is told the class of each row.

    Parameters
    ----------
    encoder, decoder : Path
        The decoder is of a code with its class, one-hot, beside it.

    likelihood : nn.Module

    shares : sequence of float
        Share of each class.

    **parts
        What else the model is made of.
    """

    has_derivative = False

    def __init__(self, encoder, decoder, likelihood, shares, **parts):
        super().__init__(encoder, decoder, likelihood, **parts)
        self.shares = nn.Buffer(torch.tensor(shares, dtype=torch.float64))
        # One after the other: a matrix would be taken for a network's, and decay.
        size = len(shares) * parts["prior"].n_components
        self.centers = nn.Parameter(torch.zeros(size, dtype=torch.float32))
        self.log_scales = nn.Parameter(torch.zeros(size, dtype=torch.float32))

    @property
    def n_classes(self):
        """Number of classes."""
        return len(self.shares)

    @property
    def log_shares(self):
        """Logarithm of the share of each class."""
        return self.shares.log()

    def fit_totals(self, labelled, *, anew):
        """Find the distribution of the totals of rows, where a likelihood has one."""

        def blocks():
            return ((_apart(x)[0], weight) for x, weight in labelled.counted_blocks())

        self.likelihood.fit_totals(blocks, anew=anew)

    def initialize_from(self, labelled, weight):
        """Begin as some training rows suggest, where PCA does not say how."""
        super().initialize_from(labelled[:, :-1], weight)

    def drawn(self, labelled, generator):
        """Rows to be learned from, with their classes beside them."""
        x = super().drawn(labelled[:, :-1], generator)
        return torch.cat([x, labelled[:, -1:]], dim=1)

    @torch.no_grad()
    def set_classes(self, labelled):
        """Begin at what rows say of their classes: a prior of codes each, and a mean.

        Parameters
        ----------
        labelled : Rows
            Training rows with their classes.
        """
        codes, left = ClassMoments(), ClassResiduals()
        for block, weight in labelled.counted_blocks():
            x, labels = _apart(block)
            posterior = self.posterior(x)
            classes = functional.one_hot(labels, self.n_classes)
            belongs = classes.mT * weight.to(self.shares.dtype)
            codes.add(posterior.mean, posterior.std, belongs)
            coded = torch.cat([posterior.mean, classes.to(posterior.mean)], dim=1)
            left.add(x, self.likelihood.mean(self.decoder(coded), x), belongs)
        center, log_scale = codes.prior()
        self.centers.copy_(center.flatten())
        self.log_scales.copy_(log_scale.flatten())
        if self.decoder.linear is not None:
            self._add_to_predictor(left)

    def _add_to_predictor(self, left):
        """Let classes add to the predictor what is left of their means.

        The noise is less by what they explain.
        """
        expected, told = left.told()
        added = self._predictor(told) - self._predictor(expected)
        self.decoder.linear.added.weight.copy_(added.T)
        both = left.variance, left.explained_by(told - expected)
        self.likelihood.explain(*(variance.cpu().numpy() for variance in both))

    def _predictor(self, mean):
        """Predictor of rows that have a mean."""
        return torch.from_numpy(self.likelihood.predictor(mean.cpu().numpy()))

    def limit(self, labelled):
        """Let the networks see no further than some rows and their codes.

        The decoder sees what the prior of each class draws, too.

        Parameters
        ----------
        labelled : Rows
            With their classes beside them.
        """
        with torch.no_grad():
            apart = (_apart(block) for block in labelled.blocks())
            self.encoder.limit(self.likelihood.view(x) for x, _ in apart)
            reach = self.prior_reach()
            self.decoder.limit(of.decoder.coded(reach) for of in self.each_class())
            apart = (_apart(block) for block in labelled.blocks())
            self.decoder.limit(self._coded_reach(x, labels) for x, labels in apart)

    def _coded_reach(self, x, labels):
        """Say how far the codes of rows reach, with their classes, for the decoder."""
        codes = self.posterior_reach(x)
        classes = functional.one_hot(labels, self.n_classes).repeat(2, 1)
        return torch.cat([codes, classes.to(codes.dtype)], dim=1)

    def given(self, labels):
        """Variational autoencoder of the code about its class.

        Parameters
        ----------
        labels : torch.Tensor of int64, of shape (n_rows,) or (1,)
            Number of the class of each row, or of all.
        """
        center = self.centers.view(self.n_classes, -1)[labels]
        log_scale = self.log_scales.view(self.n_classes, -1)[labels]
        classes = functional.one_hot(labels, self.n_classes)
        model = VariationalAutoencoder(
            _EncoderAboutClass(self.encoder, center, log_scale),
            _DecoderAboutClass(self.decoder, center, log_scale, classes),
            self.likelihood,
            posterior=self.posterior_kind,
            prior=self.prior,
            objective=self.objective,
        )
        model.warm_up(self.warmth)
        return model

    def given_class(self, number):
        """Variational autoencoder of the rows of one class."""
        return self.given(torch.tensor([number], device=self.shares.device))

    def each_class(self):
        """Give the variational autoencoder of each class in turn."""
        return map(self.given_class, range(self.n_classes))

    def row_losses(self, labelled, generator=None, passes=1, weight=None):
        """Loss of each row, given its class, as it is judged."""
        x, labels = _apart(labelled)
        return self.given(labels).row_losses(x, generator, passes, weight)

    def batch_loss(self, labelled, row_factor, generator):
        """Sum of the rows' losses, each times its factor, as it is trained on."""
        x, labels = _apart(labelled)
        return self.given(labels).batch_loss(x, row_factor, generator)

    def decode(self, z, x=None):
        """Mean of the rows given their codes, over the classes that these may have."""
        models = list(self.each_class())
        about = [model.decoder.about(z) for model in models]
        logs = [
            model.log_prior(code) - model.decoder.log_scale.sum(-1)
            for model, code in zip(models, about, strict=True)
        ]
        share = torch.softmax(torch.stack(logs) + self.log_shares[:, None], dim=0)
        mean = torch.zeros((), dtype=z.dtype, device=z.device)
        for model, code, weight in zip(models, about, share, strict=True):
            of_class = self.likelihood.mean(model.decoder(code), x)
            mean = mean + weight[:, None].to(z.dtype) * of_class
        return mean

    def forward(self, x):
        """Reconstruct rows from their posterior means; see :class:`Autoencoder`."""
        return self.decode(self.encode(x), x)

    def decode_given(self, labelled):
        """Mean of the rows given their codes and the classes beside these."""
        z, labels = _apart(labelled)
        classes = functional.one_hot(labels, self.n_classes)
        return self.likelihood.mean(self.decoder(torch.cat([z, classes.to(z)], dim=1)))

    def carry(self, labelled):
        """Rebuild rows of one class as rows of another; both stand beside them.

        What is kept is the code about its class, which alone is independent of it.
        """
        rest, there = _apart(labelled)
        x, here = _apart(rest)
        code = self.given(here).encode(x)
        return self.likelihood.mean(self.given(there).decoder(code), x)

    @torch.no_grad()
    def draw_coded(self, labels, generator):
        """Draw what the decoder takes: codes with their classes, as :meth:`draw_codes`.

        Meanwhile they are of the widest type of the device, as the shares are.
        """
        codes = self.draw_codes(len(labels), generator).to(self.shares)
        coded = self.given(labels.to(codes.device)).decoder.coded(codes)
        return coded.cpu().double()


def _apart(labelled):
    """Rows, and the numbers of their classes that stand beside them."""
    return labelled[:, :-1], labelled[:, -1].long()


class _EncoderAboutClass(nn.Module):
    """The encoder's statistics, of the code about its class."""

    def __init__(self, encoder, center, log_scale):
        super().__init__()
        self.encoder, self.center, self.log_scale = encoder, center, log_scale

    def forward(self, seen):
        statistics = self.encoder(seen)
        k = self.center.shape[-1]
        mean = (statistics[:, :k] - self.center) * torch.exp(-self.log_scale)
        log_variance = statistics[:, k : 2 * k] - 2 * self.log_scale
        return torch.cat([mean, log_variance, statistics[:, 2 * k :]], dim=1)


class _DecoderAboutClass(nn.Module):
    """The decoder of the code about its class; draws of a row follow one another."""

    def __init__(self, decoder, center, log_scale, classes):
        super().__init__()
        self.decoder, self.classes = decoder, classes
        self.center, self.log_scale = center, log_scale

    def about(self, z):
        return (z - self.center) * torch.exp(-self.log_scale)

    def coded(self, z):
        n_each = len(z) // len(self.classes)
        center, log_scale, classes = (
            values.repeat_interleave(n_each, dim=0)
            for values in (self.center, self.log_scale, self.classes)
        )
        code = center + torch.exp(log_scale) * z
        return torch.cat([code, classes.to(code.dtype)], dim=1)

    def forward(self, z):
        return self.decoder(self.coded(z))
