"""PCA, an autoencoder and a VAE on scikit-learn's digits, five-fold.

Each method is the first step of one and the same Pipeline: the method on the pixels
as they come (0 to 16), its codes brought to unit variance, a logistic regression on
them. One call of ``cross_validate`` fits that Pipeline on four fifths of the rows
and judges it on the fifth it has not seen. The columns of the table are

- variance explained: ``r2_score`` of the rows decoded from their codes, all pixels
  together, weighted by their variance;
- accuracy: of the logistic regression on the codes;
- log-likelihood: nats per row, in the units of the pixels, where the method is a
  density;
- seconds: to fit the Pipeline, the logistic regression included, by a solver that is
  quick enough not to hide the rest.

Each is the mean over the folds, with the standard deviation where it says so.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer, VAETransformer

METHODS = (PCA, AutoencoderTransformer, VAETransformer)
DENSITIES = (PCA, VAETransformer)  # their score is a log-likelihood
COMPONENTS = (2, 8, 16)
FOLDS = StratifiedKFold(n_splits=5, shuffle=True, random_state=0)
HEADER = (
    "method",
    "components",
    "variance explained",
    "accuracy",
    "log-likelihood",
    "seconds",
)
ROW = "{:<22}  {:>10}  {:>18}  {:>13}  {:>14}  {:>7}"


def pipeline(method, n_components):
    return Pipeline(
        [
            ("reduce", method(n_components, random_state=0)),
            ("scale", StandardScaler()),
            ("classify", LogisticRegression(solver="newton-cholesky")),
        ]
    )


def judge(pipeline, X, y):
    """Score a fitted pipeline on rows it has not seen; NaN is: has no such thing."""
    reducer = pipeline["reduce"]
    decoded = reducer.inverse_transform(reducer.transform(X))
    return {
        "variance": r2_score(X, decoded, multioutput="variance_weighted"),
        "accuracy": pipeline.score(X, y),
        "likelihood": reducer.score(X) if isinstance(reducer, DENSITIES) else np.nan,
    }


def spread(values, digits):
    """Mean ± standard deviation, or a dash where there are no values."""
    if np.isnan(values).any():
        return "-"
    return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}"


def compare(X, y):
    """Print a row for each method and size; return what the folds gave."""
    print(ROW.format(*HEADER), flush=True)
    results = {}
    for n_components in COMPONENTS:
        print()
        for method in METHODS:
            result = cross_validate(
                pipeline(method, n_components),
                X,
                y,
                cv=FOLDS,
                scoring=judge,
                error_score="raise",
            )
            results[method, n_components] = result
            row = ROW.format(
                method.__name__,
                n_components,
                spread(result["test_variance"], 3),
                spread(result["test_accuracy"], 3),
                spread(result["test_likelihood"], 1),
                f"{result['fit_time'].mean():.2f}",
            )
            print(row, flush=True)
    return results


def reading(results):
    """Say in one line what the table shows next to PCA."""

    def mean(method, n_components, key):
        return results[method, n_components][f"test_{key}"].mean()

    def error(method, n_components):
        unexplained = 1 - mean(method, n_components, "variance")
        return unexplained / (1 - mean(PCA, n_components, "variance"))

    def gain(n_components):
        own = mean(VAETransformer, n_components, "likelihood")
        return own - mean(PCA, n_components, "likelihood")

    sizes = ", ".join(map(str, COMPONENTS))
    errors = ", ".join(f"{error(AutoencoderTransformer, k):.2f}" for k in COMPONENTS)
    gains = ", ".join(f"{gain(k):+.1f}" for k in COMPONENTS)
    return (
        f"Next to PCA, at {sizes} components: the autoencoder leaves {errors} of its "
        f"squared error, the VAE's log-likelihood is {gains} nats per row."
    )


if __name__ == "__main__":
    X, y = load_digits(return_X_y=True)
    print(f"digits: {X.shape[0]} rows of {X.shape[1]} pixels, five-fold; mean ± sd\n")
    print("\n" + reading(compare(X, y)))
