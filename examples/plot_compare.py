"""
Does an autoencoder beat PCA on my data?
========================================

:func:`skae.compare` fits each method at each width on four folds in five, and measures
it on the fifth. Here for the chemical measures of 178 wines, standardised, since they
have different units; any transformer with ``inverse_transform`` can take part.
"""

from sklearn.datasets import load_wine
from sklearn.decomposition import PCA, KernelPCA
from sklearn.preprocessing import StandardScaler

import skae

X, y = load_wine(return_X_y=True, as_frame=True)
X = StandardScaler().set_output(transform="pandas").fit_transform(X)
methods = {
    "PCA": PCA(),
    "KernelPCA": KernelPCA(kernel="rbf", gamma=0.02, fit_inverse_transform=True),
    "Autoencoder": skae.AutoencoderTransformer(),
}
comparison = skae.compare(
    X, y, estimators=methods, n_components=[1, 2, 4], cv=3, random_state=0
)
comparison

# %%
# The same as pictures: bars are a standard deviation over the folds.

comparison.plot()

# %%
# One number for each fold, for statistics of one's own.

comparison.to_pandas().head()
