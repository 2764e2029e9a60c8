"""What both estimators have once fitted: a module, and rows in and out."""

import numpy as np
import torch
from sklearn import get_config
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted

from skae._sklearn import check_feature_names_in, to_output_container
from skae.device import generator_from, made_on_cpu, seed_from
from skae.integers import check_count
from skae.rows import as_array, floating_type
from skae.weighted import WeightedSet

from .checking import check_codes, check_fitted_values, check_weight, check_X
from .inference import map_blocks
from .opening import check_opened
from .parameters import check_flag

__all__ = ["FittedCodes"]


class FittedCodes(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """An estimator that gives rows codes, and codes rows, once it has a module.

    ``fit`` is a subclass's. It leaves ``_stored``, the module as it travels, with
    ``n_components_`` and ``mean_``.
    """

    @property
    def module_(self):
        """The fitted network, an ``nn.Module`` on rows measured from ``mean_``."""
        check_is_fitted(self)
        return self._stored.module

    @property
    def likelihood_(self):
        """The likelihood that was fitted, with its columns by number."""
        check_is_fitted(self)
        return self._stored.blueprint.likelihood

    @property
    def device_(self):
        """Device on which ``module_`` is now."""
        check_is_fitted(self)
        return next(self._stored.module.buffers()).device

    @property
    def _n_features_out(self):
        return self.n_components_

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_stored")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        # Tensors are taken, but array_api_support stays False: weights and classes are
        # NumPy's, and scikit-learn's checks of that tag want arrays of other libraries.
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __getstate__(self):
        # A device is where a machine has it; its name travels.
        return super().__getstate__() | {"device": str(self.device)}

    def __setstate__(self, state):
        super().__setstate__(state)
        check_opened(self)

    # ------------------------------------------------------------ rows in, rows out

    def transform(self, X):
        """Give rows their codes.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
            Rows to encode.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            A code for each row. A data frame where ``set_output`` asks for one.
        """
        X = self._check_fitted_X(X)
        return self._map(X, self._stored.module.encode)

    def inverse_transform(self, X):
        """Decode rows from their codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            In the units of the rows that were fitted. Counts with a size per row come
            back with the mean size, which is not in their codes; ``reconstruct`` gives
            each row its own. A data frame where ``set_output`` asks for one.
        """
        codes = self._check_fitted_codes(X)
        rows = self._decoded(self._module_that_rebuilds().decode, codes)
        return self._as_rows(self._restored(rows), X)

    def reconstruct(self, X):
        """Encode and decode rows in one pass.

        Parameters
        ----------
        X : {array-like, sparse matrix, tensor} of shape (n_samples, n_features)
            Rows to encode.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            In the units of the rows. A data frame where ``set_output`` asks for one.
        """
        rows = self._map(self._check_fitted_X(X), self._module_that_rebuilds())
        return self._as_rows(self._restored(rows), X)

    @made_on_cpu()
    def sample(self, n_samples=1, *, noise=True, random_state=None):
        """Draw new rows.

        Codes vary as those of the rows do, so a Gaussian noise leaves their directions
        out: it is drawn with ``1 - n_components / n_features`` of ``noise_variance_``,
        or, in a table of several likelihoods, with the squared errors that its columns
        have after training. New rows vary about as much as those that were fitted.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.

        noise : bool, default=True
            Whether rows are drawn from the likelihood about what their code decodes
            to, or are what it decodes to.

        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            In the units of the rows that were fitted. A data frame where ``set_output``
            asks for one.
        """
        check_is_fitted(self)
        n_samples = check_count(n_samples, "n_samples")
        noise = check_flag(noise, "noise")
        seed = seed_from(random_state)
        codes = self._draw_codes(n_samples, np.random.RandomState(seed))
        return self._decode_drawn(codes, noise, seed)

    def _decode_drawn(self, codes, noise, seed):
        """Make rows of codes, drawn from the likelihood if asked."""
        model = self._stored.module
        generator = generator_from(seed)

        def decode(z):
            eta = model.decoder(z)
            if noise:
                return model.likelihood.sample(eta, generator)
            return model.likelihood.mean(eta)

        return self._as_rows(self._restored(self._decoded(decode, codes)), codes)

    def _module_that_rebuilds(self):
        """Give the module that rebuilds rows, with all that it takes."""
        check_is_fitted(self)
        return self._stored.module

    @property
    def _origin(self):
        """What rows are measured from."""
        return self.likelihood_.origin(self.mean_)

    def _check_fitted_X(self, X):
        check_is_fitted(self)
        X = check_X(self, X)
        check_fitted_values(self, X)
        return _as_asked(X)

    def _check_weighted_X(self, X, sample_weight):
        """Check rows that are scored; at weight 0 they may be what cannot be."""
        check_is_fitted(self)
        X = check_X(self, X)
        weight = check_weight(sample_weight, X)
        check_fitted_values(self, X, weight)
        return WeightedSet(_as_asked(X), weight)

    def _check_fitted_codes(self, X):
        check_is_fitted(self)
        codes = _as_asked(check_codes(X))
        if codes.shape[1] != self.n_components_:
            raise ValueError(
                f"X has {codes.shape[1]} columns, but {type(self).__name__} gives rows "
                f"{self.n_components_} codes: pass what transform returned."
            )
        return codes

    def _decoded(self, function, codes, **options):
        """Apply a function that makes rows of codes."""
        self._stored.module.eval()
        options["n_outputs"] = self.n_features_in_
        return map_blocks(function, codes, 0, self.device_, **options)

    def _restored(self, rows):
        """Measure rows from zero again, in place."""
        origin = self._origin.astype(floating_type(rows))
        if isinstance(rows, torch.Tensor):
            origin = torch.from_numpy(origin).to(rows.device)
        rows += origin
        return rows

    def _as_rows(self, rows, original):
        """Follow ``set_output`` with the names of the input's columns."""
        names = check_feature_names_in(self, None, generate_names=True)
        return to_output_container(rows, original, self, names)

    def _map(self, X, function, **options):
        """Apply a function to rows, measured from the origin."""
        self._stored.module.eval()
        return map_blocks(function, X, self._origin, self.device_, **options)


def _as_asked(X):
    """Leave tensors as they are only where ``array_api_dispatch`` is on."""
    return X if get_config()["array_api_dispatch"] else as_array(X)
