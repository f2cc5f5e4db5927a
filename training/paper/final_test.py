"""Test the experiment's networks, and model files made elsewhere, on the same images."""

from pathlib import Path

from lens import artifact
from lens.engine import open_engine
from training.datasets.manifest import Row
from training.evaluation.metrics import Figures, figures, sensitivity_at_specificity
from training.evaluation.predictions import Judge, judge_all
from training.paper import published
from training.paper.results import ServedTest, Tested


def test_held_out(rows: list[Row], judge: Judge, seed: int) -> Tested:
    """Test a network on the held-out images; ``seed`` is that of the intervals."""
    predictions, _ = judge_all(rows, judge, "held-out images")
    return {
        "figures": figures(predictions, seed),
        "sensitivity_at_paper_specificity": sensitivity_at_specificity(
            predictions, published.SPECIFICITY, seed
        ),
    }


def test_everything(rows: list[Row], judge: Judge, seed: int) -> Figures:
    """Test a network as the paper does, on all images including the training images."""
    return figures(judge_all(rows, judge, "all images")[0], seed)


def test_served(path: Path, rows: list[Row], seed: int) -> ServedTest:
    """Test a model file on the held-out images.

    Raises:
        InvalidModel, EngineError: the model cannot be run.
    """
    card = artifact.read_card(path)
    return {
        "name": card.name,
        "sha256": artifact.sha256(path),
        "held_out": test_held_out(rows, Judge(open_engine(path), card), seed),
    }
