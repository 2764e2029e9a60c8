"""Which columns are reconstructed badly, beside PCA's errors."""

import numpy as np
from sklearn.utils import gen_batches

from skae._sklearn import is_constant_feature, safe_indexing
from skae.transformers import (
    as_rows,
    dense,
    named_transformers,
    reconstruct,
)

from .canvas import check_matplotlib, panels
from .colours import ESTIMATOR, REFERENCE
from .columns import describe_columns
from .display import RowsDisplay
from .drawings import colour_bar, draw_profiles
from .images import draw_images
from .lettering import (
    LINE,
    keep_within,
    label_below,
    label_features,
    legend_outside,
    main_features,
    rounded,
    shortened,
)

__all__ = ["FeatureErrorDisplay"]

# How the estimator's errors and the reference's are drawn: narrow dashes, so that where
# the two coincide both are seen.
LINES: tuple[dict, ...] = (
    {"color": ESTIMATOR, "lw": 2.5},
    {"color": REFERENCE, "ls": "--"},
)

# Numbers that are reconstructed at a time.
BLOCK_SIZE = 2**22


class FeatureErrorDisplay(RowsDisplay):
    """Error of each column: as an image, a line, or bars with names.

    Parameters
    ----------
    squared_errors : dict of str to ndarray of shape (n_features,)
        Mean squared error of each column, by the name of who made it.

    variances : ndarray of shape (n_features,)
        Variance of each column over the same rows; 0 of one that is constant, which a
        table leaves out.

    columns : Columns
        What the columns are; see :class:`skae.plotting.columns.Columns`.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        Of one; of images one for each reconstruction.

    figure_ : matplotlib Figure

    See Also
    --------
    ReconstructionDisplay : Single rows and their reconstructions.

    Notes
    -----
    Images and profiles show the root of the mean squared error, in the units of X.
    The columns of a table may have units of their own, so bars show the share of each
    column's variance that is not explained: 0 is perfect, 1 no better than its mean.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skae.plotting import FeatureErrorDisplay
    >>> X, _ = load_wine(return_X_y=True, as_frame=True)
    >>> model = make_pipeline(StandardScaler(), PCA(3)).fit(X)
    >>> display = FeatureErrorDisplay.from_estimator(model, X, reference=None)
    >>> display.squared_errors["PCA"].shape
    (13,)
    """

    def __init__(self, squared_errors, *, variances, columns):
        self.squared_errors = squared_errors
        self.variances = variances
        self.columns = columns

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        reference="pca",
        image_shape=None,
        kind="auto",
        name=None,
        ax=None,
    ):
        """Reconstruct rows and plot the error of each column.

        Parameters
        ----------
        estimator : fitted transformer with ``inverse_transform``
            Its errors are drawn, of its ``reconstruct`` where it has one.

        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to reconstruct.

        reference : "pca", fitted transformer or None, default="pca"
            Whose errors are shown beside: ``"pca"`` is fitted to X, with as many
            components as the estimator, in its place in a Pipeline. On rows that the
            estimator has not seen that favours PCA; give a PCA that has not seen
            them either.

        image_shape : tuple of int, default=None
            (height, width) or (height, width, channels), where rows are images. A
            convolutional estimator knows it itself.

        kind : {"auto", "images", "profiles", "table"}, default="auto"
            As in :meth:`ReconstructionDisplay.from_estimator`.

        name : str, default=None
            Of the estimator, in the picture; by default from the class.

        ax : matplotlib Axes, default=None
            Where to draw, divided as needed; by default a new figure.

        Returns
        -------
        FeatureErrorDisplay
        """
        check_matplotlib()
        X = as_rows(X)
        columns = describe_columns(estimator, X, kind=kind, image_shape=image_shape)
        named = named_transformers(estimator, X, reference, name)
        display = cls(
            {
                name: _mean_over_rows(X, _squared_error_of(transformer))
                for name, transformer in named.items()
            },
            variances=_variances(X),
            columns=columns,
        )
        return display.plot(ax=ax)

    def _draw_images(self, ax):
        """Draw one image per reconstruction, dark where it is right."""
        errors = {
            f"{shortened(name)}\n{rounded(_overall(squares), 3)} overall": np.sqrt(
                self.columns.as_images(squares).mean(axis=-1, keepdims=True)
            )
            for name, squares in self.squared_errors.items()
        }
        axes = panels(ax, 1, len(errors), (3.0 * len(errors) + 1.2, 3.4))
        limits = (0, np.max(list(errors.values())))
        for panel, (title, error) in zip(axes.flat, errors.items(), strict=True):
            image, *_ = draw_images(panel, error[None, None], limits, "viridis")
            keep_within(panel.set_title(title, fontsize="medium"), panel)
        colour_bar(image, axes, "root mean squared error of a pixel")
        return axes

    def _draw_profiles(self, ax):
        """Draw one line per reconstruction."""
        axes = panels(ax, 1, 1, (6.4, 4.2))
        panel = axes[0, 0]
        for squares, style in zip(self.squared_errors.values(), LINES, strict=False):
            draw_profiles(panel, self.columns.positions, [np.sqrt(squares)], **style)
        labels = [
            f"{shortened(name)}: {rounded(_overall(squares), 3)} overall"
            for name, squares in self.squared_errors.items()
        ]
        panel.set_xlabel("position of the column")
        label = panel.set_ylabel("root mean squared error, in units of X")
        keep_within(label, panel)
        panel.set_ylim(bottom=0)
        legend_outside(
            axes, ax, handles=panel.get_lines()[-len(labels) :], labels=labels
        )
        return axes

    def _draw_table(self, ax):
        """Draw a bar per column, the worst on top, and a diamond for the reference."""
        varies = np.flatnonzero(self.variances)
        if not len(varies):
            raise ValueError(
                "X: none of its columns varies, so there is no variance to explain; "
                "give two rows or more that differ."
            )
        unexplained = {
            name: squares[varies] / self.variances[varies]
            for name, squares in self.squared_errors.items()
        }
        first = next(iter(unexplained.values()))
        meaning = "that vary, " * (len(varies) < len(self.variances))
        chosen, note = main_features(ax, first, meaning + "with the largest errors")
        axes = panels(ax, 1, 1, (6.4, 1.6 + LINE * 1.15 * len(chosen)))
        panel = axes[0, 0]
        heights = np.arange(len(chosen))
        handles = [panel.barh(heights, first[chosen], 0.7, color=ESTIMATOR)]
        style = {"color": REFERENCE, "ms": 7, "mec": panel.get_facecolor()}
        for shares in list(unexplained.values())[1:]:
            handles += panel.plot(shares[chosen], heights, "D", **style)
        labels = [
            f"{shortened(name)}: {rounded(shares.mean(), 2)} on average"
            for name, shares in unexplained.items()
        ]
        label_features(panel, [self.columns.names[j] for j in varies[chosen]])
        meaning = "\n(0 is perfect, 1 no better than the mean)"
        label = "share of the variance that is not explained" + meaning
        label_below(axes, panel, label + note)
        panel.set_xlim(left=0)
        legend_outside(axes, ax, handles=handles, labels=labels)
        return axes


def _overall(squares):
    return np.sqrt(squares.mean())


def _variances(X):
    """Variance of each column; 0 where it is no more than rounding."""
    mean = _mean_over_rows(X, dense)
    variances = _mean_over_rows(X, lambda rows: np.square(dense(rows) - mean))
    return np.where(is_constant_feature(variances, mean, X.shape[0]), 0.0, variances)


def _squared_error_of(transformer):
    return lambda rows: np.square(dense(rows) - reconstruct(transformer, rows))


def _mean_over_rows(X, function):
    """Mean of a function of rows, some rows at a time."""
    blocks = gen_batches(X.shape[0], max(1, BLOCK_SIZE // X.shape[1]))
    total = sum(function(safe_indexing(X, where)).sum(axis=0) for where in blocks)
    return total / X.shape[0]
