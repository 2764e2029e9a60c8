"""scikit-learn's own checks: those it runs by itself, and those it keeps back."""

import pytest
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import AutoencoderTransformer, VAEOverSampler, VAETransformer

CLASSES = [AutoencoderTransformer, VAETransformer]

# As many as scikit-learn gives to estimators of its own here; the rest are defaults.
MAX_ITER = 5

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


@parametrize_with_checks(
    [*(Estimator(max_iter=MAX_ITER) for Estimator in CLASSES), SAMPLER]
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", ["check_requires_y_none", "check_dtype_object"])
def test_a_model_of_classes_asks_for_them(check):
    model = VAETransformer(1, conditional=True, max_iter=0)
    assert get_tags(model).target_tags.required
    getattr(estimator_checks, check)("VAETransformer", model)


# Some of these fit a data frame and transform an array of the same rows, or the other
# way round; PCA warns as well.
@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
@pytest.mark.filterwarnings("ignore:X has feature names, but:UserWarning")
@pytest.mark.parametrize("check", FURTHER_CHECKS)
@pytest.mark.parametrize("Estimator", CLASSES)
def test_further_scikit_learn_check(Estimator, check):
    getattr(estimator_checks, check)(Estimator.__name__, Estimator(max_iter=MAX_ITER))


def test_every_kind_of_further_check_was_found():
    assert len(FURTHER_CHECKS) >= 10
