"""The loss over the epochs, beside that of the start."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skae.transformers import brief, check_instance, last_step, short_name

from .canvas import check_matplotlib, panels
from .colours import ESTIMATOR, NEUTRAL, REFERENCE
from .display import Display
from .lettering import count_in_factors, keep_within, legend_outside, plain, rounded

__all__ = ["LossCurveDisplay"]

# Ratio of the largest to the least loss from which the axis is logarithmic.
WIDE_RANGE = 5

# Share of a loss that is no more than the rounding of float32.
ROUNDING = 1e-6


class LossCurveDisplay(Display):
    """Training and validation loss per epoch, and what the start scores.

    Parameters
    ----------
    loss_curve : array-like of shape (n_epochs,)
        Training loss of each epoch.

    validation_loss_curve : array-like of shape (n_epochs + 1,), default=()
        Loss on the rows that judge, at the start and after each epoch.

    start_loss : float, default=None
        Loss of the start.

    best_loss : float, default=None
        Loss of what was kept. An autoencoder's lies below the curve where its last
        layer was solved after the training, or codes are refined.

    best_epoch : int, default=None
        Epoch after which those weights stood; 0 is the start. None leaves them out.

    start_name : str, default="start"
        What the start is.

    loss_name : str, default="mean loss of a row"
        What is on the vertical axis.

    estimator_name : str, default=None
        Written as title.

    Attributes
    ----------
    ax_ : matplotlib Axes

    figure_ : matplotlib Figure

    See Also
    --------
    ComparisonDisplay : What came of it, against PCA, on rows not seen.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import AutoencoderTransformer
    >>> from skae.plotting import LossCurveDisplay
    >>> X, _ = load_digits(return_X_y=True)
    >>> model = AutoencoderTransformer(8, max_iter=5, random_state=0).fit(X[:300])
    >>> display = LossCurveDisplay.from_estimator(model)
    >>> display.ax_.get_xlabel()
    'epoch'
    """

    def __init__(
        self,
        loss_curve,
        *,
        validation_loss_curve=(),
        start_loss=None,
        best_loss=None,
        best_epoch=None,
        start_name="start",
        loss_name="mean loss of a row",
        estimator_name=None,
    ):
        self.loss_curve = loss_curve
        self.validation_loss_curve = validation_loss_curve
        self.start_loss = start_loss
        self.best_loss = best_loss
        self.best_epoch = best_epoch
        self.start_name = start_name
        self.loss_name = loss_name
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(cls, estimator, *, name=None, ax=None):
        """Plot the losses that a fitted estimator recorded.

        Parameters
        ----------
        estimator : fitted estimator
            One with ``loss_curve_``, or a Pipeline that ends in one.

        name : str, default=None
            Written as title; by default from the class.

        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.

        Returns
        -------
        LossCurveDisplay
        """
        check_matplotlib()
        trained = last_step(estimator)
        check_instance(trained)
        if hasattr(trained, "fit"):
            check_is_fitted(trained)
        if not hasattr(trained, "loss_curve_"):
            raise TypeError(
                f"estimator={brief(trained)} has no loss_curve_; give a fitted "
                "AutoencoderTransformer or VAETransformer, or a Pipeline that ends in "
                "one."
            )
        best_epoch = getattr(trained, "best_epoch_", None)
        starts_at_pca = getattr(trained, "init", None) == "pca"
        display = cls(
            trained.loss_curve_,
            validation_loss_curve=getattr(trained, "validation_loss_curve_", ()),
            start_loss=getattr(trained, "start_loss_", None),
            # MLPRegressor's best_loss_ is not that of the weights it keeps.
            best_loss=trained.best_loss_ if best_epoch is not None else None,
            best_epoch=best_epoch,
            start_name="PCA, the start" if starts_at_pca else "random start",
            loss_name="mean loss of a row" + " (nats)" * hasattr(trained, "elbo"),
            estimator_name=short_name(trained, name),
        )
        return display.plot(ax=ax)

    def _draw(self, ax):
        axes = panels(ax, 1, 1, (6.4, 4.8))
        panel = axes[0, 0]
        epochs = np.arange(1, len(self.loss_curve) + 1)
        # A line of one point is not seen.
        marker = "." if len(epochs) == 1 else ""
        style = {"color": NEUTRAL, "marker": marker}
        panel.plot(epochs, self.loss_curve, label="training rows", **style)
        if len(self.validation_loss_curve):
            epochs = np.arange(len(self.validation_loss_curve))
            validation = self.validation_loss_curve
            panel.plot(epochs, validation, color=ESTIMATOR, label="validation rows")
        if self.start_loss is not None:
            label = f"{self.start_name}: {rounded(self.start_loss, 4)}"
            panel.axhline(self.start_loss, color=REFERENCE, ls="--", label=label)
        if self.best_epoch is not None:
            self._mark_best(panel)
        self._scale(panel)
        panel.set_xlabel("epoch")
        keep_within(panel.set_ylabel(self.loss_name), panel)
        if self.estimator_name is not None:
            keep_within(panel.set_title(plain(self.estimator_name)), panel)
        legend_outside(axes, ax, place="within", ncols=2)
        return axes

    def _mark_best(self, panel):
        where = f"epoch {self.best_epoch}" if self.best_epoch else "the start"
        solved = self._is_solved_start()
        where += " with its last layer solved" * solved
        label = f"kept, {where}: {rounded(self.best_loss, 4)}"
        curve = self.validation_loss_curve
        is_start = self.best_epoch == 0 and not solved
        if is_start and len(curve) and np.argmin(curve) > 0:
            label += "\n(gains not sure enough to leave the start)"
        style = {"marker": "o", "ms": 8, "ls": "none", "color": ESTIMATOR}
        panel.plot([self.best_epoch], [self.best_loss], label=label, **style)

    def _is_solved_start(self):
        """Whether what was kept is better than the start, after no epoch."""
        if self.best_epoch or self.start_loss is None:
            return False
        gain = self.start_loss - self.best_loss
        return gain > ROUNDING * abs(self.start_loss)

    def _scale(self, panel):
        """Give losses of many sizes a logarithmic axis."""
        losses = np.array([*self.loss_curve, *self.validation_loss_curve])
        if losses.size and 0 < losses.min() * WIDE_RANGE < losses.max():
            count_in_factors(panel, "y", losses)
        panel.xaxis.get_major_locator().set_params(integer=True)
