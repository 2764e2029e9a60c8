"""
What a code stands for
======================

There are no ``components_`` to look at. What a component stands for is seen by decoding
along it, while the others stay at their medians.
"""

from sklearn.datasets import load_digits

from skae import VAETransformer
from skae.plotting import ReconstructionDisplay, SampleDisplay, TraversalDisplay

X, y = load_digits(return_X_y=True)
vae = VAETransformer(8, random_state=0).fit(X)
TraversalDisplay.from_estimator(vae, X, component=[0, 1, 2, 3], image_shape=(8, 8))

# %%
# Images beside what eight numbers leave of them, and what PCA's eight leave.

ReconstructionDisplay.from_estimator(vae, X, image_shape=(8, 8), reference="pca")

# %%
# Images that never were: codes from the prior, decoded.

SampleDisplay.from_estimator(vae, 24, image_shape=(8, 8), noise=False, random_state=0)
