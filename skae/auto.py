"""What "auto" means: rules that follow the number of rows n and of columns p."""

import math

__all__ = [
    "auto_batch_size",
    "auto_hidden_layer_sizes",
    "auto_learning_rate",
    "auto_max_iter",
    "auto_validation_rows",
]

# Number of updates that a fit may take before the largest number of epochs is reached.
UPDATES = 6000


def auto_hidden_layer_sizes(n_rows, n_features):
    """Two layers: 512 and 256 wide from 5 million values on, 256 and 128 below."""
    return (512, 256) if n_rows * n_features >= 5_000_000 else (256, 128)


def auto_batch_size(n_rows):
    """Take a 16th of the rows as a power of two, between 32 and 256."""
    return min(max(2 ** round(math.log2(n_rows / 16)), 32), 256)


def auto_learning_rate(usual, n_features):
    """Double a solver's usual rate for tables of up to 100 columns."""
    return 2 * usual if n_features <= 100 else usual


def auto_validation_rows(n_rows):
    """Hold out a tenth of the rows, at most 5,000; a fifth where that is under 50.

    Fewer could not tell a network from its start.
    """
    tenth, fifth = math.ceil(n_rows / 10), math.ceil(n_rows / 5)
    return min(max(tenth, min(fifth, 50)), 5000)


def auto_max_iter(n_rows, batch_size):
    """As many epochs as make 6,000 updates, between 20 and 300."""
    n_batches = math.ceil(n_rows / batch_size)
    return min(max(math.ceil(UPDATES / n_batches), 20), 300)
