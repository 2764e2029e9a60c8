"""PCA, an autoencoder and a VAE on scikit-learn's digits, five-fold.

The pixels are taken as they come (0 to 16); what each column of the table means,
``skae.compare`` says.
"""

from sklearn.callback import ProgressBar
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold

import skae

COMPONENTS = (2, 8, 16)
FOLDS = StratifiedKFold(n_splits=5, shuffle=True, random_state=0)


def reading(comparison):
    """Say in one line what the table shows next to PCA."""
    summary = comparison.summary()

    def of(name, measure):
        return summary[measure][summary["estimator"] == name]

    left = 1 - of("AutoencoderTransformer", "explained_variance_mean")
    left_by_pca = 1 - of("PCA", "explained_variance_mean")
    gains = of("VAETransformer", "log_likelihood_difference")
    return (
        f"Next to PCA, at {', '.join(map(str, COMPONENTS))} components: the "
        f"autoencoder leaves {', '.join(map('{:.2f}'.format, left / left_by_pca))} of "
        f"its squared error, the VAE's log-likelihood is "
        f"{', '.join(map('{:+.1f}'.format, gains))} nats per row."
    )


if __name__ == "__main__":
    X, y = load_digits(return_X_y=True)
    print(f"digits: {X.shape[0]} rows of {X.shape[1]} pixels, five-fold\n", flush=True)
    comparison = skae.compare(
        X,
        y,
        n_components=COMPONENTS,
        cv=FOLDS,
        random_state=0,
        callbacks=ProgressBar(max_propagation_depth=0),
    )
    print(f"\n{comparison}\n\n{reading(comparison)}")
