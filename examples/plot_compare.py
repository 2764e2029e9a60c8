"""
Does an autoencoder beat PCA on my data?
========================================

:func:`skae.compare` fits each method with each number of components on two folds in
three, and measures it on the third. Here for 30 measures of 569 tumours, standardised,
since they have different units; any transformer with ``n_components`` can take part;
with ``inverse_transform`` its variance explained is measured too.
"""

from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA, KernelPCA
from sklearn.preprocessing import StandardScaler

import skae

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X = StandardScaler().set_output(transform="pandas").fit_transform(X)
methods = {
    "PCA": PCA(),
    "Autoencoder": skae.AutoencoderTransformer(),
    # Its way back is a ridge regression, for which the default alpha of 1 is too much.
    "KernelPCA": KernelPCA(
        kernel="rbf", gamma=0.003, alpha=1e-3, fit_inverse_transform=True
    ),
}
comparison = skae.compare(
    X, y, estimators=methods, n_components=[1, 2, 4], cv=3, random_state=0
)
comparison

# %%
# The same as a picture: bars are a standard deviation over the folds.

_ = comparison.plot()

# %%
# What it takes.

_ = comparison.plot(measure="fit_seconds")

# %%
# One number for each fold, for statistics of one's own.

comparison.to_pandas().head()
