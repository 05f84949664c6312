import pytest

from fer_utils import augment, models, presets


@pytest.mark.parametrize("profile", presets.PROFILES)
@pytest.mark.parametrize("preset", presets.PRESETS)
def test_every_preset_has_what_a_training_needs(preset, profile):
    settings = presets.settings(preset, profile)
    assert settings["model"] in models.BUILDERS
    assert set(settings["augmentation"]) <= set(augment.SETTINGS)
    assert {"normalisation", "optimizer", "learning_rate", "batch", "epochs", "limit"} <= set(settings)
    assert not set(settings) & set(presets.PROFILES)


def test_profiles_only_shorten():
    for preset in presets.PRESETS:
        epochs = [presets.settings(preset, profile)["epochs"] for profile in ("smoke", "quick", "full")]
        assert epochs == sorted(epochs)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="'Z' is not one of: A, A-dnn"):
        presets.settings("Z", "quick")
    with pytest.raises(ValueError, match="smoke, quick, full"):
        presets.settings("A", "slow")
