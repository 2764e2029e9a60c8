"""Measures: what methods are compared by, and what each is called in every room."""

from typing import NamedTuple

__all__ = ["MEASURES"]


class Measure(NamedTuple):
    """What a measure is called.

    Attributes
    ----------
    heading : str
        Of its column in a table.

    axis : str
        Of a picture.

    meaning : str
        For whoever reads the table.

    decimals : int
        That a report writes.

    title, caption : str, default=""
        Of its picture in a report, where it has one; ``{target}`` is what is predicted.

    is_cost : bool, default=False
        Whether it is what a method takes; of all else, more is better.
    """

    heading: str
    axis: str
    meaning: str
    decimals: int
    title: str = ""
    caption: str = ""
    is_cost: bool = False


# By their names in the folds of a comparison, in the order of its table.
MEASURES = {
    "explained_variance": Measure(
        heading="variance explained",
        axis="share of variance explained,\nheld-out rows (1 is all)",
        meaning="share of the variance of the rows that their codes keep, when they "
        "are decoded; 1 is all of it; what a VAE decodes is drawn towards the mean by "
        "design",
        decimals=3,
        title="Variance explained, by the size of the code",
        caption="Share of the variance of unseen rows that their codes keep, when they "
        "are decoded. Higher is better; bars are a standard deviation over the folds.",
    ),
    "log_likelihood": Measure(
        heading="log-likelihood",
        axis="log-likelihood of a held-out row\n(nats; more is better)",
        meaning="how probable unseen rows are to the model: the logarithm of the "
        "density of a row, in nats; more is better, and an autoencoder has no density",
        decimals=1,
        title="Log-likelihood, by the size of the code",
        caption="How probable unseen rows are to a method: the logarithm of the "
        "density of a row, in nats. Higher is better; a method that gives no density "
        "has none.",
    ),
    "downstream_score": Measure(
        heading="downstream score",
        axis="score of a prediction by codes,\nheld-out rows (more: better)",
        meaning="how well a linear model predicts the target from the codes: accuracy "
        "for classes, R² for numbers",
        decimals=3,
        title="Prediction of the target, by the size of the code",
        caption="Score of a linear model that predicts {target} from the codes of "
        "unseen rows. Higher is better.",
    ),
    "trustworthiness": Measure(
        heading="trustworthiness",
        axis="trustworthiness of the codes (1 is best)",
        meaning="how far neighbours among the codes are neighbours among the rows; 1 "
        "is always",
        decimals=3,
    ),
    "fit_seconds": Measure(
        heading="fit seconds",
        axis="seconds to fit",
        meaning="seconds to fit one fold",
        decimals=2,
        title="What it costs",
        caption="Seconds to fit one fold. Lower is better.",
        is_cost=True,
    ),
    "transform_seconds": Measure(
        heading="transform seconds",
        axis="seconds to transform",
        meaning="seconds to give the held-out rows their codes",
        decimals=3,
        is_cost=True,
    ),
}
