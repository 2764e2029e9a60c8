"""Pictures: what a report shows of a comparison, for light and for dark pages."""

import io

import numpy as np

from skae.estimators.autoencoder import AutoencoderTransformer
from skae.measures import MEASURES
from skae.plotting import (
    CodeDisplay,
    ComparisonDisplay,
    FeatureErrorDisplay,
    LossCurveDisplay,
    ReconstructionDisplay,
)

from .report import Picture, components

__all__ = ["curve_pictures", "model_pictures"]

DOTS_PER_INCH = 150

# Width in inches of a picture that fits a column or a telephone, its letters readable.
COLUMN = 5.4

# One panel less wide than so many times its height leaves room for another picture.
NARROW = 2.0

# A share of what was gained in all that a picture shows.
VISIBLE = 0.01

# A page's colour, so that a picture has no edge.
LIGHT, DARK = "#ffffff", "#14171f"


def curve_pictures(comparison, target):
    """Draw the measures of a comparison over the size of the code.

    Parameters
    ----------
    comparison : Comparison

    target : str or None
        What is predicted.

    Returns
    -------
    list of Picture
    """
    return [
        _picture(
            f"compare_{name}",
            measure.title,
            measure.caption.format(target=target),
            lambda name=name: ComparisonDisplay.from_comparison(
                comparison, measure=name
            ),
        )
        for name, measure in MEASURES.items()
        if measure.title and np.isfinite(comparison.folds[name]).any()
    ]


def model_pictures(name, small, large, X, y, image_shape):
    """Draw what a method makes of unseen rows, beside PCA.

    Parameters
    ----------
    name : str
        What the method is called.

    small, large : tuple of (estimator, PCA)
        Fitted to other rows than X, at a small and at a larger size of the code.

    X : pandas.DataFrame
        Unseen rows.

    y : pandas.Series or None
        Their target, under its name.

    image_shape : tuple of int or None
        Where rows are images.

    Returns
    -------
    list of Picture
    """
    (small_model, small_pca), (model, pca) = small, large
    colours = "" if y is None else f", coloured by {y.name}"
    size = components(model.n_components_)
    kind = {"image_shape": image_shape, "name": name}
    pictures = [
        _picture(
            "codes",
            "Codes",
            _caption_of_codes(small_model.n_components_, f"unseen rows{colours}", name),
            lambda: CodeDisplay.from_estimator(
                small_model, X, y, reference=small_pca, name=name
            ),
        ),
        _picture(
            "reconstructions",
            "Reconstructions",
            f"Unseen rows, and what is left of them in {size}.",
            lambda: ReconstructionDisplay.from_estimator(
                model, X, reference=pca, **kind
            ),
        ),
        _picture(
            "feature_errors",
            "Error of each column",
            f"What unseen rows lose in {size}, column by column.",
            lambda: FeatureErrorDisplay.from_estimator(model, X, reference=pca, **kind),
        ),
    ]
    if len(getattr(model, "loss_curve_", ())):
        pictures.append(
            _picture(
                "loss",
                "Training",
                _caption_of_losses(model, name, size),
                lambda: LossCurveDisplay.from_estimator(model, name=name),
            )
        )
    return pictures


def _caption_of_codes(n_components, rows, name):
    if n_components == 1:
        return f"The only code of {rows}: {name} and PCA."
    return f"The first two codes of {rows}: {name} and PCA, of {n_components} each."


def _caption_of_losses(model, name, size):
    caption = f"Loss of {name} with {size}, by epoch. The dashed line is the start, "
    caption += "which is PCA."
    if isinstance(model, AutoencoderTransformer) and _is_below_its_curve(model):
        caption += (
            " The dot, what was kept, lies below the curve by what was done after the "
            "training: the last layer was solved, or codes are refined."
        )
    return caption


def _is_below_its_curve(model):
    """Whether what was kept is better than it was at the end of its epoch."""
    curve = model.validation_loss_curve_
    if not len(curve):
        return False
    gained_after = curve[model.best_epoch_] - model.best_loss_
    return gained_after > VISIBLE * (model.start_loss_ - model.best_loss_)


def _picture(name, title, caption, draw):
    """Draw for a light page, and once more for a dark one, whatever style is set."""
    import matplotlib.pyplot as plt

    light_page = {"figure.facecolor": LIGHT, "axes.facecolor": LIGHT}
    with plt.style.context(["default", light_page]):
        display = draw()
        light, is_narrow = _png(display)
    dark_page = {"figure.facecolor": DARK, "axes.facecolor": DARK}
    with plt.style.context(["default", "dark_background", dark_page]):
        dark, _ = _png(display.plot())
    return Picture(name, title, caption, light, dark, is_narrow)


def _png(display):
    """Give a picture as a file, and whether it fits a column."""
    import matplotlib.pyplot as plt

    figure = display.figure_
    width, height = figure.get_size_inches()
    is_narrow = len(display.axes_) == 1 and width < NARROW * height
    if is_narrow:  # several panels side by side would be crushed
        figure.set_size_inches(min(width, COLUMN), height)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=DOTS_PER_INCH, facecolor="auto")
    plt.close(figure)
    return image.getvalue(), is_narrow
