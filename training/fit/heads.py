"""Add the heads that are used only in training, and compile a network with a recipe's losses."""

from collections.abc import Callable

import keras

from training.fit.batches import DIAGNOSES
from training.fit.recipes import Recipe


def add_training_heads(
    network: keras.Model, recipe: Recipe, components: int = 0, *, opinion: bool = False
) -> keras.Model:
    """Build the model to train: the network's outputs and the heads used only in training.

    Args:
        network: a model of ``training.networks``.
        recipe: names the outputs with a loss, and the layers that are not trained.
        components: number of components of a teacher's embedding to learn; 0 without a teacher.
        opinion: whether the teacher's p(malignant) is learned, too.

    Returns:
        A model with the same input and weights, whose outputs are a dict.
    """
    for layer in network.layers:
        layer.trainable = not layer.name.startswith(recipe.frozen)
    outputs = {name: network.output[name] for name in network.output if name != "heat_map"}
    if "lesion" in outputs:
        embedding = network.get_layer("embedding").output
        dense = keras.layers.Dense
        outputs["diagnosis"] = dense(len(DIAGNOSES), "softmax", dtype="float32")(embedding)
        if components:
            outputs["teacher"] = dense(components, dtype="float32")(embedding)
        if opinion:
            # The teacher is calibrated to real data, where malignant lesions are rare, but half of
            # the images in training are malignant. This layer learns a scale and an offset that
            # correct this.
            scale = dense(1, "sigmoid", kernel_initializer="ones", dtype="float32")
            outputs["opinion"] = scale(network.get_layer("logit").output)
    return keras.Model(network.input, {n: outputs[n] for n in recipe.loss_weights if n in outputs})


def compile_for_training(model: keras.Model, recipe: Recipe, steps: int) -> None:
    """Compile with the recipe's losses, and its optimizer scheduled over ``steps`` steps."""
    rate = recipe.rates[recipe.optimizer]
    if recipe.cosine:
        warmup = max(1, steps // 20)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, max(1, steps - warmup), warmup_target=rate, warmup_steps=warmup
        )
    optimizers: dict[str, Callable[[], keras.Optimizer]] = {
        "sgd": lambda: keras.optimizers.SGD(
            rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0
        ),
        "adam": lambda: keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay),
        "rmsprop": lambda: keras.optimizers.RMSprop(rate),
    }
    losses = {
        "malignant": keras.losses.BinaryCrossentropy(label_smoothing=recipe.label_smoothing),
        "lesion": keras.losses.BinaryCrossentropy(),
        "kind": keras.losses.BinaryCrossentropy(),
        "diagnosis": keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        "teacher": keras.losses.CosineSimilarity(),
        "opinion": keras.losses.BinaryCrossentropy(),
    }
    names = list(model.output)
    model.compile(
        optimizers[recipe.optimizer](),
        loss={name: losses[name] for name in names},
        loss_weights={name: recipe.loss_weights[name] for name in names},
        weighted_metrics={
            "malignant": [
                keras.metrics.BinaryAccuracy(name="accuracy"),
                keras.metrics.AUC(name="auc"),
            ]
        },
    )
