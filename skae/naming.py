"""Naming: what an estimator is called, in tables and in pictures."""

__all__ = ["name_of"]

# Without what says that they transform, as all in a comparison do.
SHORT = {"AutoencoderTransformer": "Autoencoder", "VAETransformer": "VAE"}


def name_of(estimator):
    """Name an estimator as people do: by its class, skae's own by what it learns.

    Examples
    --------
    >>> from sklearn.preprocessing import QuantileTransformer
    >>> from skae import AutoencoderTransformer
    >>> from skae.naming import name_of
    >>> name_of(AutoencoderTransformer()), name_of(QuantileTransformer())
    ('Autoencoder', 'QuantileTransformer')
    """
    name = type(estimator).__name__
    return SHORT.get(name, name)
