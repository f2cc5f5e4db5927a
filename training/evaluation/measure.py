"""Evaluate a model on the test split, and store the results."""

import dataclasses
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from lens import artifact
from lens.card import Card, MelanomasFound, Metrics
from lens.engine import open_engine
from lens.files import replacing
from training.cli import CommandError
from training.datasets.demographics import describe_patients
from training.datasets.manifest import (
    KINDS,
    ManifestError,
    Row,
    read_manifest,
    read_not_lesion,
    split_hash,
)
from training.evaluation import plots, robustness
from training.evaluation.metrics import (
    REFUSED,
    RESAMPLES,
    Figures,
    Interval,
    Predictions,
    figures,
    proportion,
)
from training.evaluation.mistakes import draw_mistakes
from training.evaluation.model_card import write_model_card
from training.evaluation.options import EvaluateOptions
from training.evaluation.predictions import Judge, judge_all
from training.evaluation.results import ModelSummary, Report


def measure(options: EvaluateOptions) -> Report:
    """Evaluate the model, and draw the pictures.

    Raises:
        ManifestError: there is no test image, or an image is missing or cannot be decoded.
        InvalidModel, EngineError: the model cannot be run.
    """
    card = artifact.read_card(options.model)
    rows, others = _test_rows(options.manifest)
    judge = Judge(open_engine(options.model), card)
    print(
        f"{len(rows)} photos of lesions and {len(others)} other photographs in the test split; "
        f"engine {judge.engine.name}",
        flush=True,
    )
    options.out.mkdir(parents=True, exist_ok=True)  # Fail now, not after ten minutes of work.
    predictions, verdicts = judge_all(rows, judge, "lesions")
    views = float(np.mean([verdict.views for verdict in verdicts]))
    print(f"a verdict used {views:.2f} of {card.views} views on average", flush=True)
    parts = _parts(rows)
    by_part = {name: predictions.subset(chosen) for name, chosen in parts.items()}
    refused = {name: _share_refused(part, options.seed) for name, part in by_part.items()}
    others_refused: dict[str, Interval | None] = {}
    if others:
        other_predictions, _ = judge_all(others, judge, "other photographs")
        for source in sorted({row.source for row in others}):
            chosen = np.array([row.source == source for row in others])
            others_refused[source] = _share_refused(other_predictions.subset(chosen), options.seed)
    chosen_lesions = _subset(len(rows), options.subset, options.seed)
    subset, before = [rows[i] for i in chosen_lesions], [verdicts[i] for i in chosen_lesions]
    report: Report = {
        "model": _describe(judge, views),
        "split_as_trained": _split_as_trained(rows, card),
        "resamples": RESAMPLES,
        "seed": options.seed,
        "test": {name: figures(part, options.seed) for name, part in by_part.items()},
        "melanomas": _melanomas(rows, parts, predictions, options.seed),
        "diagnoses": _diagnoses(rows, predictions),
        "patients": _patients(rows, predictions, options.seed),
        "refused": refused,
        "others_refused": others_refused,
        "reasons": dict(Counter(str(r) for verdict in verdicts for r in verdict.reasons)),
        "lesion_masked": robustness.masked_auc(rows, parts, judge, options.seed),
        "verdict_changes": robustness.verdict_changes(subset, before, judge, options.seed),
        "heat_map": robustness.heat_map_check(subset, judge, options.seed),
    }
    _draw(by_part, rows, predictions, card, options.out)
    return report


def _draw(
    by_part: dict[str, Predictions],
    rows: list[Row],
    predictions: Predictions,
    card: Card,
    folder: Path,
) -> None:
    plots.plot_roc(by_part, folder / "roc.png")
    plots.plot_confusion(by_part, folder / "confusion.png")
    plots.plot_reliability(predictions, card, folder / "reliability.png")
    draw_mistakes(rows, predictions, folder / "mistakes")


def _describe(judge: Judge, views: float) -> ModelSummary:
    fields = dataclasses.asdict(judge.card)
    return {
        "name": judge.card.name,
        "calibrated": judge.card.calibrated,
        "operating_points": fields["operating_points"],
        "views": judge.card.views,
        "engine": judge.engine.name,
        "mean_views": round(views, 2),
    }


def _split_as_trained(rows: list[Row], card: Card) -> bool | None:
    """Whether the test split is the one set aside in training; None if the card does not say."""
    if "test" not in card.split_hashes:
        return None
    same = split_hash(rows) == card.split_hashes["test"]
    if not same:
        print(
            "WARNING: the manifest's test split is not the one set aside when the model was "
            "trained; the model may have learned from these images.",
            file=sys.stderr,
        )
    return same


def _test_rows(manifest: Path) -> tuple[list[Row], list[Row]]:
    rows = [row for row in read_manifest(manifest) if row.split == "test"]
    if not rows:
        raise ManifestError(f"{manifest}: expected images in the test split, found none")
    return rows, [row for row in read_not_lesion(manifest) if row.split == "test"]


def _parts(rows: list[Row]) -> dict[str, np.ndarray]:
    """A mask, bool (n,), for each part of the report: all photos, each kind, each source.

    A source with both kinds of photo has one part per kind.
    """
    sources, kinds = np.array([row.source for row in rows]), np.array([row.kind for row in rows])
    parts = {"pooled": np.ones(len(rows), bool)}
    parts |= {kind: kinds == kind for kind in KINDS}
    for name in dict.fromkeys(sources.tolist()):
        own = [kind for kind in KINDS if (kinds[sources == name] == kind).any()]
        parts |= {
            f"{name} {kind}" if len(own) > 1 else name: (sources == name) & (kinds == kind)
            for kind in own
        }
    return {name: chosen for name, chosen in parts.items() if chosen.any()}


def _melanomas(
    rows: list[Row], parts: dict[str, np.ndarray], predictions: Predictions, seed: int
) -> dict[str, MelanomasFound]:
    """The number of melanomas in each part that has any, and the share found."""
    melanoma = np.array([row.diagnosis == "melanoma" for row in rows])
    melanomas: dict[str, MelanomasFound] = {}
    for name, chosen in parts.items():
        part = predictions.subset(chosen & melanoma)
        if len(part.labels):
            share = proportion(part.calls == part.labels, part.groups, seed)
            melanomas[name] = {"n": len(part.labels), "found": share}
    return melanomas


def _diagnoses(rows: list[Row], predictions: Predictions) -> dict[str, list[int]]:
    """Correct verdicts and total of each diagnosis, malignant ones first."""
    diagnoses: dict[str, list[int]] = {}
    order = sorted(range(len(rows)), key=lambda i: (-rows[i].malignant, rows[i].diagnosis))
    for index in order:
        row = rows[index]
        name = f"{row.diagnosis} ({'malignant' if row.malignant else 'benign'})"
        counts = diagnoses.setdefault(name, [0, 0])
        counts[0] += int(predictions.calls[index] == row.malignant)
        counts[1] += 1
    return diagnoses


def _patients(
    rows: list[Row], predictions: Predictions, seed: int
) -> dict[str, dict[str, Figures]]:
    """Metrics by trait and value, alphabetically, but with "under 40" before "40 to 59"."""
    patients: dict[str, dict[str, Figures]] = {}
    described = describe_patients(rows)
    for trait in ("age", "sex", "region", "skin tone"):
        values = np.array([patient.get(trait, "") for patient in described])
        order = sorted({*values.tolist()} - {""}, key=lambda v: (not v.startswith("under"), v))
        for value in order:
            group = predictions.subset(values == value)
            patients.setdefault(trait, {})[value] = figures(group, seed)
    return patients


def _share_refused(predictions: Predictions, seed: int) -> Interval | None:
    return proportion(predictions.calls == REFUSED, predictions.groups, seed)


def _subset(count: int, size: int, seed: int) -> list[int]:
    """Sorted indices of a random subset."""
    chosen = np.random.default_rng(seed).choice(count, min(size, count), replace=False)
    return sorted(chosen.tolist())


def write(report: Report, options: EvaluateOptions, sha256: str) -> Path:
    """Store the report in figures.json and in the model file, and write its README.

    A third-party file is not changed: with a card it would be served like one of this project,
    which takes other pixels.

    Args:
        report: the report to store.
        options: where it goes.
        sha256: of the model file that was evaluated.

    Returns:
        The path of the file that ``write_model_card`` wrote.

    Raises:
        CommandError: the model file was replaced meanwhile.
    """
    if artifact.sha256(options.model) != sha256:
        raise CommandError(
            f"{options.model}: was replaced while it was evaluated, so nothing was written; "
            "evaluate the new file"
        )
    with replacing(options.out / "figures.json") as partial:
        text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")
    card = artifact.read_card(options.model)
    card = dataclasses.replace(card, metrics=card_metrics(report))
    if artifact.has_card(options.model):
        artifact.write_card(options.model, card)
    return write_model_card(options.model, card, report, options.out)


def card_metrics(report: Report) -> Metrics:
    """The part of the report that the web page shows."""
    return {
        "test": {
            name: {
                "n": part["n"],
                "malignant": part["malignant"],
                "auc": part["auc"],
                "sensitivity": part["sensitivity"],
                "specificity": part["specificity"],
                "accuracy": part["accuracy"],
            }
            for name, part in report["test"].items()
        },
        "melanomas": report["melanomas"],
        "ece": report["test"]["pooled"]["ece"],
    }
