"""Measure a model on the test split, and store what was found."""

import dataclasses
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from lens import artifact
from lens.card import Card
from lens.engine import open_engine
from lens.files import replacing
from training.datasets.demographics import describe_patients
from training.datasets.manifest import KINDS, ManifestError, Row, read_manifest, split_hash
from training.evaluation import plots, robustness, tables
from training.evaluation.metrics import (
    REFUSED,
    RESAMPLES,
    Answers,
    Figures,
    Interval,
    figures,
    proportion,
)
from training.evaluation.mistakes import draw_mistakes
from training.evaluation.model_card import write_model_card
from training.evaluation.options import EvaluateOptions
from training.evaluation.predictions import Judge, judge_all
from training.evaluation.results import MelanomasFound, Report


def measure(options: EvaluateOptions) -> Report:
    """Measure everything, and draw the pictures."""
    card = artifact.read_card(options.model)
    rows, others = _test_rows(options.manifest)
    judge = Judge(open_engine(options.model), card)
    print(
        f"{len(rows)} lesions and {len(others)} other photographs of the test split; "
        f"engine {judge.engine.name}",
        flush=True,
    )
    options.out.mkdir(parents=True, exist_ok=True)  # Not after ten minutes of work.
    answers, verdicts = judge_all(rows, judge, "lesions")
    views = float(np.mean([verdict.views for verdict in verdicts]))
    print(f"of {card.views} views a photo {views:.2f} were looked at", flush=True)
    parts = _parts(rows)
    shown = {name: answers.part(chosen) for name, chosen in parts.items()}
    refused = {name: _share_refused(part, options.seed) for name, part in shown.items()}
    if others:
        given, _ = judge_all(others, judge, "other photographs")
        for source in sorted({row.source for row in others}):
            chosen = np.array([row.source == source for row in others])
            refused[source] = _share_refused(given.part(chosen), options.seed)
    some = _subset(len(rows), options.subset, options.seed)
    tried, before = [rows[i] for i in some], [verdicts[i] for i in some]
    report: Report = {
        "model": _describe(judge) | {"views_looked_at": round(views, 2)},
        "split_as_trained": _split_as_trained(rows, card),
        "resamples": RESAMPLES,
        "seed": options.seed,
        "test": {name: figures(part, options.seed) for name, part in shown.items()},
        "melanomas": _melanomas(rows, parts, answers, options.seed),
        "diagnoses": _diagnoses(rows, answers),
        "patients": _patients(rows, answers, options.seed),
        "refused": refused,
        "reasons": dict(Counter(str(r) for verdict in verdicts for r in verdict.reasons)),
        "lesion_masked": robustness.masked_auc(rows, parts, judge, options.seed),
        "verdict_changes": robustness.verdict_changes(tried, before, judge, options.seed),
        "heat_map": robustness.heat_map_check(tried, judge, options.seed),
    }
    _draw(shown, rows, answers, card, options.out)
    return report


def _draw(
    shown: dict[str, Answers], rows: list[Row], answers: Answers, card: Card, folder: Path
) -> None:
    plots.plot_roc(shown, folder / "roc.png")
    plots.plot_confusion(shown, folder / "confusion.png")
    plots.plot_reliability(answers, card, folder / "reliability.png")
    draw_mistakes(rows, answers, folder / "mistakes")


def _describe(judge: Judge) -> dict[str, Any]:
    """The card's fields that decide a verdict, and the engine."""
    fields = dataclasses.asdict(judge.card)
    kept = ("name", "calibrated", "operating_points", "views")
    return {name: fields[name] for name in kept} | {"engine": judge.engine.name}


def _split_as_trained(rows: list[Row], card: Card) -> bool | None:
    """Whether the test split is the one set aside in training; None if the card does not say."""
    if "test" not in card.split_hashes:
        return None
    same = split_hash(rows) == card.split_hashes["test"]
    if not same:
        print(
            "WARNING: the manifest has another test split than the model was trained beside; the "
            "model may have learned from these very images.",
            file=sys.stderr,
        )
    return same


def _test_rows(manifest: Path) -> tuple[list[Row], list[Row]]:
    rows = [row for row in read_manifest(manifest) if row.split == "test"]
    if not rows:
        raise ManifestError(f"{manifest}: expected images in the test split, found none")
    beside = manifest.with_name("not_lesion.csv")
    others = read_manifest(beside) if beside.exists() else []
    return rows, [row for row in others if row.split == "test"]


def _parts(rows: list[Row]) -> dict[str, np.ndarray]:
    """Which rows, bool (n,), belong to each part of the report: all, each kind, each source.

    A source of both kinds has a part for each.
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
    rows: list[Row], parts: dict[str, np.ndarray], answers: Answers, seed: int
) -> dict[str, MelanomasFound]:
    """Of each part with melanomas their number, and the share found (value, low, high)."""
    melanoma = np.array([row.diagnosis == "melanoma" for row in rows])
    found: dict[str, MelanomasFound] = {}
    for name, chosen in parts.items():
        part = answers.part(chosen & melanoma)
        if len(part.labels):
            share = proportion(part.calls == part.labels, part.groups, seed)
            found[name] = {"n": len(part.labels), "found": share}
    return found


def _diagnoses(rows: list[Row], answers: Answers) -> dict[str, list[int]]:
    """Right and total of each diagnosis, the malignant first."""
    found: dict[str, list[int]] = {}
    order = sorted(range(len(rows)), key=lambda i: (-rows[i].malignant, rows[i].diagnosis))
    for index in order:
        row = rows[index]
        name = f"{row.diagnosis} ({'malignant' if row.malignant else 'benign'})"
        counts = found.setdefault(name, [0, 0])
        counts[0] += int(answers.calls[index] == row.malignant)
        counts[1] += 1
    return found


def _patients(rows: list[Row], answers: Answers, seed: int) -> dict[str, dict[str, Figures]]:
    described = describe_patients(rows)
    found: dict[str, dict[str, Figures]] = {}
    for kind in ("age", "sex", "region", "skin tone"):
        values = np.array([one.get(kind, "") for one in described])
        for value in sorted({*values.tolist()} - {""}, key=tables.patient_order):
            found.setdefault(kind, {})[value] = figures(answers.part(values == value), seed)
    return found


def _share_refused(answers: Answers, seed: int) -> Interval | None:
    return proportion(answers.calls == REFUSED, answers.groups, seed)


def _subset(count: int, size: int, seed: int) -> list[int]:
    """Places of a random subset, in order."""
    chosen = np.random.default_rng(seed).choice(count, min(size, count), replace=False)
    return sorted(chosen.tolist())


def write(report: Report, options: EvaluateOptions) -> Path:
    """Store the report: in figures.json, in the model file's card, and as the model card.

    Returns:
        Where the model card was written.
    """
    with replacing(options.out / "figures.json") as partial:
        text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")
    card = artifact.read_card(options.model)
    # What others stored there, such as the golden answer, stays.
    card = dataclasses.replace(card, metrics={**card.metrics, **card_metrics(report)})
    artifact.write_card(options.model, card)
    return write_model_card(options.model, card, report, options.out)


def card_metrics(report: Report) -> dict[str, Any]:
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
