"""Naming: what an estimator is called, in tables and in pictures."""

__all__ = ["name_of"]


def name_of(estimator):
    """Name an estimator as people do: by its class, less what says that it transforms.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> from skae import AutoencoderTransformer
    >>> from skae.naming import name_of
    >>> name_of(AutoencoderTransformer()), name_of(PCA())
    ('Autoencoder', 'PCA')
    """
    name = type(estimator).__name__
    return name.removesuffix("Transformer") or name
