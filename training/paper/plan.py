"""Which trainings the experiment consists of, in their order."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """One training of the experiment.

    Attributes:
        rules: whether the paper's two rules act: the learning rate is halved where training
            accuracy stands still, and the run ends where validation loss does.
        balanced: whether it learns from the 1:1 images, or from those 12:1.
        after: the run whose last weights it starts from, with a fresh optimizer, as the paper did.
        share: of the epochs asked for.
    """

    name: str
    network: str
    optimizer: str = "sgd"
    rules: bool = False
    balanced: bool = True
    after: str | None = None
    share: float = 1 / 3


RUNS = (
    # The paper's final network: three stages, the rules as written.
    Run("cnn_v2", "cnn_v2", rules=True),
    Run("stage_2", "cnn_v2", rules=True, after="cnn_v2"),
    Run("stage_3", "cnn_v2", rules=True, after="stage_2"),
    # Without the rules, so that each has as many epochs as the others.
    Run("adam", "cnn_v2", optimizer="adam"),
    Run("rmsprop", "cnn_v2", optimizer="rmsprop"),
    Run("sgd", "cnn_v2"),
    Run("cnn_v1", "cnn_v1"),
    Run("imbalanced", "cnn_v1", balanced=False),
    Run("cnn_v3", "cnn_v3", share=1 / 18),
    Run("sgd_2", "cnn_v2", after="sgd"),
    Run("sgd_3", "cnn_v2", after="sgd_2"),
)
FINAL = ("stage_3", "sgd_3")
"""The last of three stages; tested once more as the paper tested, training images included."""
