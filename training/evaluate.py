"""Measure a model on the test split: ``python -m training.evaluate models/melanoma.h5``.

It prints the figures, writes them with their pictures and picture sheets of the worst mistakes,
stores them in the model file's card, and writes the model card, README.md, beside the model file.
"""

import argparse
import dataclasses
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from lens import artifact
from lens.artifact import InvalidModel
from lens.card import Card
from lens.engine import EngineError, open_engine
from training.cli import positive
from training.datasets.demographics import describe_patients
from training.datasets.manifest import ManifestError, Row, read_manifest, split_hash
from training.datasets.sources import DERMOSCOPY
from training.evaluation import plots, robustness, tables
from training.evaluation.metrics import REFUSED, RESAMPLES, Answers, figures, proportion
from training.evaluation.mistakes import draw_mistakes
from training.evaluation.model_card import write_model_card
from training.evaluation.predictions import Judge, judge_all

SUBSET = 200


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m training.evaluate", description=__doc__)
    parser.add_argument("model", type=Path, metavar="MODEL.h5")
    parser.add_argument(
        "--manifest",
        type=Path,
        default=Path("data/manifest.csv"),
        metavar="FILE",
        help="its test split is measured, and that of not_lesion.csv beside it "
        "(default data/manifest.csv)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where figures.json and the pictures go (default MODEL_evaluation, beside the model)",
    )
    parser.add_argument(
        "--subset",
        type=positive,
        default=SUBSET,
        metavar="N",
        help="lesions, drawn from the test split, on which changed photos and the heat map are "
        f"tried: 13 judgements each (default {SUBSET})",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the subset and the intervals")
    options = parser.parse_args(arguments)
    stem = options.model.stem
    options.out = options.out or options.model.with_name(f"{stem}_evaluation")
    return options


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; return the report that figures.json holds, and draw its pictures."""
    card = artifact.read_card(options.model)
    rows, others = _test_rows(options.manifest)
    judge_of = Judge(open_engine(options.model), card)
    print(
        f"{len(rows)} lesions and {len(others)} other photographs of the test split; "
        f"engine {judge_of.engine.name}",
        flush=True,
    )
    options.out.mkdir(parents=True, exist_ok=True)  # Not after ten minutes of work.
    answers, verdicts = judge_all(rows, judge_of, "lesions")
    views = float(np.mean([verdict.views for verdict in verdicts]))
    print(f"of {card.views} views a photo {views:.2f} were looked at", flush=True)
    parts = _parts(rows)
    report = {
        "model": _describe(judge_of) | {"views_looked_at": round(views, 2)},
        "split_as_trained": _split_as_trained(rows, card),
        "resamples": RESAMPLES,
        "seed": options.seed,
        **_verdict_figures(rows, parts, answers, options.seed),
        "reasons": dict(Counter(str(r) for verdict in verdicts for r in verdict.reasons)),
    }
    if others:
        refused, _ = judge_all(others, judge_of, "other photographs")
        for source in sorted({row.source for row in others}):
            chosen = np.array([row.source == source for row in others])
            report["refused"][source] = _share_refused(refused.part(chosen), options.seed)
    pooled = {name: chosen for name, chosen in parts.items() if name.startswith("pooled")}
    report["lesion_masked"] = robustness.masked_auc(rows, pooled, judge_of, options.seed)
    some = _subset(len(rows), options.subset, options.seed)
    tried, before = [rows[i] for i in some], [verdicts[i] for i in some]
    report["verdict_changes"] = robustness.verdict_changes(tried, before, judge_of, options.seed)
    report["heat_map"] = robustness.heat_map_check(tried, judge_of, options.seed)
    shown = {name: answers.part(part) for name, part in parts.items()}
    plots.plot_roc(shown, options.out / "roc.png")
    plots.plot_confusion(shown, options.out / "confusion.png")
    plots.plot_reliability(answers, card, options.out / "reliability.png")
    draw_mistakes(rows, answers, options.out / "mistakes")
    return report


def _verdict_figures(
    rows: list[Row], parts: dict[str, np.ndarray], answers: Answers, seed: int
) -> dict[str, Any]:
    """What the verdicts on the photos as they are tell: per part, diagnosis and patient."""
    shown = {name: answers.part(chosen) for name, chosen in parts.items()}
    return {
        "test": {name: figures(part, seed) for name, part in shown.items()},
        "diagnoses": _diagnoses(rows, answers),
        "patients": _patients(rows, answers, seed),
        "refused": {name: _share_refused(part, seed) for name, part in shown.items()},
    }


def _describe(judge_of: Judge) -> dict[str, Any]:
    """The card's fields that decide a verdict, and the engine."""
    fields = dataclasses.asdict(judge_of.card)
    kept = ("name", "calibrated", "operating_points", "views")
    return {name: fields[name] for name in kept} | {"engine": judge_of.engine.name}


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
    """Which rows, bool (n,), belong to each part of the report: both pools, then each source."""
    sources = np.array([row.source for row in rows])
    parts = {"pooled": np.ones(len(rows), bool), "pooled_dermoscopy": np.isin(sources, DERMOSCOPY)}
    parts |= {name: sources == name for name in dict.fromkeys(sources.tolist())}
    return {name: chosen for name, chosen in parts.items() if chosen.any()}


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


def _patients(rows: list[Row], answers: Answers, seed: int) -> dict[str, dict[str, Any]]:
    described = describe_patients(rows)
    found: dict[str, dict[str, Any]] = {}
    for kind in ("age", "sex", "skin tone"):
        values = np.array([one.get(kind, "") for one in described])
        for value in sorted({*values.tolist()} - {""}, key=tables.patient_order):
            found.setdefault(kind, {})[value] = figures(answers.part(values == value), seed)
    return found


def _share_refused(answers: Answers, seed: int) -> list[float] | None:
    return proportion(answers.calls == REFUSED, answers.groups, seed)


def _subset(count: int, size: int, seed: int) -> list[int]:
    """Places of a random subset, in order."""
    chosen = np.random.default_rng(seed).choice(count, min(size, count), replace=False)
    return sorted(chosen.tolist())


def card_metrics(report: dict[str, Any]) -> dict[str, Any]:
    """The part of the report that the model file's card keeps, and the web page shows."""
    kept = ("auc", "sensitivity", "specificity", "accuracy")
    return {
        "test": {
            name: {"n": part["n"], "malignant": part["malignant"]}
            | {key: part[key] for key in kept}
            for name, part in report["test"].items()
        },
        "ece": report["test"]["pooled"]["ece"],
        "brier": report["test"]["pooled"]["brier"],
        "refused": report["refused"],
        "lesion_masked_auc": report["lesion_masked"],
        "verdict_changes": {k: v["changed"] for k, v in report["verdict_changes"].items()},
        "heat_map": report["heat_map"],
    }


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        report = evaluate(options)
        print("\n" + tables.everything(report))
        card = artifact.read_card(options.model)
        # What others stored there, such as the golden answer, stays.
        card = dataclasses.replace(card, metrics={**card.metrics, **card_metrics(report)})
        artifact.write_card(options.model, card)
        text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
        (options.out / "figures.json").write_text(text + "\n", encoding="utf-8")
        readme = write_model_card(options.model, card, report, options.out)
    except (ManifestError, InvalidModel, EngineError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nevaluate: stopped", file=sys.stderr)
        return 130
    print(f"wrote {options.out}/ (figures.json, *.png), {readme}, and the card in {options.model}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
