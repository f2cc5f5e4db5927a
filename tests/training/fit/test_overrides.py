"""Changing settings of a recipe by name, and rejecting wrong names and values."""

import pytest

from training.fit.overrides import OverrideError, override, settings_of
from training.fit.recipes import DEFAULT, RECIPES


@pytest.mark.parametrize(
    ("setting", "is_changed"),
    [
        ("epochs=3", lambda recipe: recipe.epochs == 3),
        ("augmentation.rotation=0", lambda recipe: recipe.augmentation.rotation == 0),
        ("augmentation.flips=false", lambda recipe: recipe.augmentation.flips is False),
        ("stages.1.batch=16", lambda recipe: recipe.stages[1].batch == 16),
        ("rates.adam=1e-4", lambda recipe: recipe.rates["adam"] == 1e-4),
        ("images_per_epoch=0", lambda recipe: recipe.images_per_epoch == 0),
        ("optimizer=sgd", lambda recipe: recipe.optimizer == "sgd"),
        ("frozen=bn0,conv_stem", lambda recipe: recipe.frozen == ("bn0", "conv_stem")),
    ],
)
def test_a_setting_of_any_type_is_changed_by_its_name(setting, is_changed):
    assert not is_changed(DEFAULT)
    assert is_changed(override(DEFAULT, [setting]))


def test_other_settings_do_not_change():
    changed = override(DEFAULT, ["stages.0.size=128", "epochs=2", "epochs=15"])
    assert override(changed, ["stages.0.size=256"]) == DEFAULT
    assert override(DEFAULT, []) == DEFAULT


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_field_of_a_recipe_is_a_setting(recipe):
    assert {name.split(".")[0] for name in settings_of(recipe)} == set(vars(recipe))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_settings_that_may_be_fractions_are_floats(recipe):
    prefixes = ("augmentation.", "rates.", "loss_weights.", "weight_decay", "average")
    values = {n: v for n, v in settings_of(recipe).items() if n.startswith(prefixes)}
    assert {type(value) for name, value in values.items() if not name.endswith("flips")} == {float}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epochs", "epochs: expected a whole number, got ''"),
        ("epoch=3", "expected NAME=VALUE, got 'epoch=3'; did you mean epochs?"),
        ("rotation=3", "did you mean augmentation.rotation?"),
        ("augmentation.rotatoin=3", "did you mean augmentation.rotation?"),
        ("stages.2.size=64", r"did you mean stages.\d.size?"),
        ("xyzzy=1", "it has stages.0.share, "),
        ("epochs=three", "epochs: expected a whole number, got 'three'"),
        ("epochs=1.5", "expected a whole number"),
        ("stages.0.batch=0", "batch: expected a number of at least 1, got 0"),
        ("weight_decay=-1", "expected a number of at least 0"),
        ("weight_decay=nan", "expected a number of at least 0"),
        ("rates.adam=inf", "expected a number of at least 0"),
        ("cosine=yes", "expected true or false"),
        ("optimizer=lion", "expected one of sgd, adam, rmsprop"),
        ("stages.0.share=0.7", "sum to 1.1"),
        ("plateau=true", "expected cosine or plateau, got both"),
    ],
)
def test_a_wrong_setting_is_rejected_with_a_message(setting, message):
    with pytest.raises(OverrideError, match=message.replace("?", r"\?")):
        override(DEFAULT, [setting])
