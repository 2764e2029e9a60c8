"""scikit-learn's own checks: those it runs by itself, and those it keeps back."""

import pytest
from sklearn.base import clone
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import AutoencoderTransformer, VAEOverSampler, VAETransformer

# As many epochs as scikit-learn gives to estimators of its own here; the rest are
# defaults, but of a model that is told classes, which is as quick as can be.
TOLD = VAETransformer(
    1,
    conditional=True,
    hidden_layer_sizes=(8,),
    max_iter=1,
    early_stopping=False,
    n_score_samples=4,
)
TRANSFORMERS = [AutoencoderTransformer(max_iter=5), VAETransformer(max_iter=5), TOLD]

# Checks that check_estimator does not run.
FURTHER_CHECKS = [
    name
    for name in vars(estimator_checks)
    if name.startswith(
        (
            "check_set_output_transform",
            "check_global_",
            "check_transformer_get_feature_names_out",
            "check_dataframe_column_names_consistency",
            "check_param_validation",
            "check_inplace_ensure_writeable",
        )
    )
]


SAMPLER = VAEOverSampler(vae=VAETransformer(1, max_iter=1, early_stopping=False))


@parametrize_with_checks([*TRANSFORMERS, SAMPLER])
def test_scikit_learn_check(estimator, check):
    check(estimator)


def test_a_model_of_classes_asks_for_them():
    assert get_tags(TOLD).target_tags.required


# Some of these fit a data frame and transform an array of the same rows, or the other
# way round; PCA warns as well.
@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
@pytest.mark.filterwarnings("ignore:X has feature names, but:UserWarning")
@pytest.mark.parametrize("check", FURTHER_CHECKS)
@pytest.mark.parametrize("estimator", TRANSFORMERS, ids=["autoencoder", "vae", "told"])
def test_further_scikit_learn_check(estimator, check):
    check_of_name = getattr(estimator_checks, check)
    check_of_name(type(estimator).__name__, clone(estimator))


def test_every_kind_of_further_check_was_found():
    assert len(FURTHER_CHECKS) >= 10
