"""
What a code stands for
======================

There are no ``components_`` to look at. What a component stands for is seen by decoding
along it, while the others stay at their medians.
"""

from sklearn.datasets import load_digits

from skae import AutoencoderTransformer
from skae.plotting import ReconstructionDisplay, SampleDisplay, TraversalDisplay

X, y = load_digits(return_X_y=True)
autoencoder = AutoencoderTransformer(8, random_state=0).fit(X)
_ = TraversalDisplay.from_estimator(
    autoencoder, X, components=[0, 1, 2, 3], image_shape=(8, 8)
)

# %%
# Images beside what eight numbers leave of them, and what PCA's eight leave.

_ = ReconstructionDisplay.from_estimator(
    autoencoder, X, image_shape=(8, 8), reference="pca"
)

# %%
# Images that never were: codes drawn from a mixture of Gaussians that
# is fitted to those of the images, and decoded.

_ = SampleDisplay.from_estimator(
    autoencoder, n_samples=25, noise=False, image_shape=(8, 8), random_state=0
)
