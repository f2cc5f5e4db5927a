"""The runs of the experiment, in order."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """One training run of the experiment.

    Attributes:
        rules: whether to apply the paper's two rules: halve the learning rate when training
            accuracy stops improving, and stop when validation loss does.
        balanced: True to train on one benign image per melanoma, False for 12.
        starts_from: name of the run whose last weights this one starts from, with a new optimizer,
            as in the paper; None for random weights.
        epoch_share: share of the epochs given by ``--epochs``.
    """

    name: str
    network: str
    optimizer: str = "sgd"
    rules: bool = False
    balanced: bool = True
    starts_from: str | None = None
    epoch_share: float = 1 / 3


RUNS = (
    # The paper's final network, trained in three stages, with the rules that its text describes.
    Run("cnn_v2", "cnn_v2", rules=True),
    Run("stage_2", "cnn_v2", rules=True, starts_from="cnn_v2"),
    Run("stage_3", "cnn_v2", rules=True, starts_from="stage_2"),
    # Without the rules, so that no run stops early. All but cnn_v3 have the same number of epochs.
    Run("adam", "cnn_v2", optimizer="adam"),
    Run("rmsprop", "cnn_v2", optimizer="rmsprop"),
    Run("sgd", "cnn_v2"),
    Run("cnn_v1", "cnn_v1"),
    Run("imbalanced", "cnn_v1", balanced=False),
    Run("cnn_v3", "cnn_v3", epoch_share=1 / 18),
    Run("sgd_2", "cnn_v2", starts_from="sgd"),
    Run("sgd_3", "cnn_v2", starts_from="sgd_2"),
)
FINAL = ("stage_3", "sgd_3")
"""The last stages, also tested as in the paper: on all images, including the training images."""
