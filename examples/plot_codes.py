"""
What a code stands for
======================

There are no ``components_`` to look at. What a component stands for is seen by decoding
along it, while the others stay at their medians.
"""

from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from skae import AutoencoderTransformer
from skae.plotting import (
    CodeDisplay,
    ReconstructionDisplay,
    SampleDisplay,
    TraversalDisplay,
)

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
autoencoder = AutoencoderTransformer(8, random_state=0).fit(X_train)
_ = TraversalDisplay.from_estimator(
    autoencoder, X_train, components=[0, 1, 2, 3], image_shape=(8, 8)
)

# %%
# Images that it has not seen beside what eight numbers leave of them, and what PCA's
# eight leave.

_ = ReconstructionDisplay.from_estimator(
    autoencoder, X_test, image_shape=(8, 8), reference=PCA(8).fit(X_train)
)

# %%
# Images that never were, beside real ones: codes drawn from a mixture of Gaussians that
# is fitted to those of the images, and decoded.

_ = SampleDisplay.from_estimator(
    autoencoder, X_test, n_samples=25, noise=False, image_shape=(8, 8), random_state=0
)

# %%
# A code of two numbers is a place in a plane. Here are those of images that neither has
# seen.

plane = AutoencoderTransformer(2, random_state=0).fit(X_train)
_ = CodeDisplay.from_estimator(plane, X_test, y_test, reference=PCA(2).fit(X_train))
