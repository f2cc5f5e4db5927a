"""Write the report of ``training.reproduce``, with the paper's tables beside our results."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import keras

from lens.files import replacing
from training import networks
from training.evaluation import tables
from training.evaluation.metrics import Figures
from training.paper import published
from training.paper.images import BENIGN_PER_MALIGNANT, SOURCES
from training.paper.plots import plot_runs, training_accuracy
from training.paper.results import Experiment, RunResult, Served

TITLES = {
    "cnn_v2": ("version 2.0, SGD, with both rules", "around 70 %"),
    "sgd": ("version 2.0, SGD", "-"),
    "adam": ("version 2.0, Adam", "worse than SGD"),
    "rmsprop": ("version 2.0, RMSprop", "worse than SGD"),
    "cnn_v1": ("version 1.0, SGD", "around 50 %"),
    "cnn_v3": ("version 3.0, SGD", "no better than version 2.0"),
    "imbalanced": (f"version 1.0, SGD, {BENIGN_PER_MALIGNANT} benign to 1", "up to 98 %"),
}
"""The title of each run, and its accuracy as stated in the paper (sections II and III)."""
VERSIONS = {"cnn_v1": "version 1.0", "cnn_v2": "version 2.0", "cnn_v3": "version 3.0"}
STAGES = {
    "with both rules": ("cnn_v2", "stage_2", "stage_3"),
    "without": ("sgd", "sgd_2", "sgd_3"),
}

Results = dict[str, RunResult]


def write_report(
    experiment: Experiment,
    results: Results,
    served: Sequence[Served],
    runs: Sequence[str],
    path: Path,
) -> None:
    """Write the report, and the curves beside it.

    Args:
        experiment: the description of the experiment.
        results: the results of the finished runs, by name.
        served: the results of the served models on the same images.
        runs: the names of all runs.
        path: the file to write; the curves go to the same name with the suffix .png.
    """
    picture = path.with_suffix(".png")
    sections = {
        "The images": _images(experiment),
        "Layers and parameters": _layers(),
        "Accuracy": _accuracy(results),
        "The three stages of the final network": _stages(results),
        "The final test": _final(results),
        "The served models on the same images": _compared(results, served),
        "Curves": f"![Accuracy of each run by epoch, and the learning rate]({picture.name})",
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    with replacing(picture) as partial:
        plot_runs(results, partial)
    with replacing(path) as partial:
        heading = _heading(experiment, results, runs)
        partial.write_text(f"# The paper, reproduced\n\n{heading}\n\n{body}\n", encoding="utf-8")


def _heading(experiment: Experiment, results: Results, runs: Sequence[str]) -> str:
    paragraphs = [
        f"Written by `python -m training.reproduce`, seed {experiment['seed']}. Intervals are "
        "95 %. [paper.md](paper.md) lists contradictions in the paper, and how these runs differ."
    ]
    short = []
    if experiment["epochs"] < published.EPOCHS[-1]:
        short.append(f"{experiment['epochs']} of the paper's {published.EPOCHS[-1]} epochs")
    used = sum(map(sum, experiment["parts"]["balanced"].values()))
    if used < experiment["available"]:
        short.append(f"{used} of {experiment['available']} images")
    if short:
        paragraphs.append(
            f"**This was a shortened run: {' and '.join(short)}. Its accuracies say nothing about "
            "the networks.**"
        )
    if missing := [name for name in runs if name not in results]:
        paragraphs.append(f"**Not finished; these runs are missing: {', '.join(missing)}.**")
    return "\n\n".join(paragraphs)


def _images(experiment: Experiment) -> str:
    names = {
        "balanced": "1:1 (all runs but one)",
        "imbalanced": f"{BENIGN_PER_MALIGNANT}:1",
        "held_out": "held out",
        "everything": "all images, as the paper tested",
    }
    rows = [
        [names[name], *(f"{benign} + {malignant}" for benign, malignant in part.values())]
        for name, part in experiment["parts"].items()
    ]
    benign, malignant = experiment["trained_among_everything"]
    return (
        f"Melanomas of {' and '.join(SOURCES)} and, for each, a benign image of the same source. "
        "Numbers are benign + melanoma:\n\n"
        f"{tables.markdown(['images', 'training', 'validation', 'test'], rows)}\n\n"
        "No held-out image is known to share a lesion or patient with the others. The last row "
        f"includes {benign} benign images and {malignant} melanomas that are training images. "
        f"{experiment['shared_groups']} validation images show a lesion or patient of a training "
        "image, because these runs split by image, like the paper."
    )


def _layers() -> str:
    rows = []
    for name, printed in published.LAYERS.items():
        ours = layers_of(networks.build(name))
        rows.append(
            [
                VERSIONS[name],
                f"{published.PARAMETERS[name]:,}",
                f"{sum(layer.parameters for layer in ours):,}",
                str(sum(one != other for one, other in zip(printed, ours, strict=True))),
            ]
        )
    header = ["network", "parameters in the paper", "ours", "layers that differ"]
    return (
        f"{tables.markdown(header, rows)}\n\nOurs have the layers of the paper's tables. Its text "
        "counts seven convolutions in version 2.0, where the table has six, and its listings of "
        "versions 2.0 and 3.0 are swapped."
    )


def layers_of(network: keras.Model) -> list[published.Layer]:
    """The network's layers as the paper lists them, without the input and its scaling."""
    return [
        published.Layer(type(layer).__name__, tuple(layer.output.shape[1:]), layer.count_params())
        for layer in network.layers
        if not isinstance(layer, keras.layers.InputLayer | keras.layers.Rescaling)
    ]


def _accuracy(results: Results) -> str:
    rows = []
    for name, (title, printed) in TITLES.items():
        if name not in results:
            rows.append([title, printed, *["-"] * 7])
            continue
        result = results[name]
        validation = [row["val_accuracy"] for row in result["history"]]
        held_out = result["held_out"]["figures"]
        rows.append(
            [
                title,
                printed,
                _epochs(result),
                "-" if (hours := result["cpu_hours"]) is None else f"{hours:.1f}",
                _share(training_accuracy(result["history"][-1])),
                _share(max(validation)),
                tables.number(held_out["auc"]),
                tables.percent(held_out["sensitivity"]),
                tables.percent(held_out["specificity"]),
            ]
        )
    header = ["run", "the paper", "epochs", "CPU hours", "training, last", "validation, best"]
    header += ["held-out AUC", "melanomas found", "benign called benign"]
    always = BENIGN_PER_MALIGNANT / (BENIGN_PER_MALIGNANT + 1)
    return (
        f"{tables.markdown(header, rows)}\n\nThe last three columns are for the held-out images. "
        "The two rules: the learning rate is halved when training accuracy has not risen for three "
        "epochs, and the run ends when validation loss has not fallen for ten. "
        f"With {BENIGN_PER_MALIGNANT} benign images per melanoma, a network that always answers "
        f"benign is correct for {_share(always)}."
    )


def _stages(results: Results) -> str:
    rows = []
    for rules, names in STAGES.items():
        for number, name in enumerate(names, start=1):
            title = f"{number}, {rules}"
            if name not in results:
                rows.append([title, *["-"] * 6])
                continue
            history = results[name]["history"]
            training = [training_accuracy(row) for row in history]
            rates = [row["learning_rate"] for row in history]
            rows.append(
                [
                    title,
                    _epochs(results[name]),
                    f"{rates[0]:.3g} to {rates[-1]:.3g}",
                    _share(training[-1]),
                    _share(max(training)),
                    _share(history[-1]["val_accuracy"]),
                    tables.number(results[name]["held_out"]["figures"]["auc"]),
                ]
            )
    rows.append(["the paper", str(published.EPOCHS[-1]), *published.STAGES, "-"])
    header = ["stage", "epochs", "learning rate", "training, last", "training, highest"]
    header += ["validation, last", "held-out AUC"]
    return (
        "Each stage starts from the last weights of the stage before, with a new optimizer and the "
        f"initial learning rate.\n\n{tables.markdown(header, rows)}"
    )


def _final(results: Results) -> str:
    columns = [
        (_everything if as_paper else _held_out)(results.get(names[-1]))
        for names in STAGES.values()
        for as_paper in (True, False)
    ]
    rows = []
    for kind, printed in published.CORRECT.items():
        counts = [[] if c is None else _counts(c["right"], kind) for c in columns]
        rows.append([kind, printed, *(_correct(pairs) for pairs in counts)])
    rows.append(["AUC", "-", *("-" if c is None else tables.number(c["auc"]) for c in columns)])
    rows.append(
        ["calibration error", "-", *("-" if c is None else f"{c['ece']:.3f}" for c in columns)]
    )
    header = ["correct / total", "the paper, as printed", "both rules, tested as in the paper"]
    header += ["both rules, held out", "no rules, tested as in the paper", "no rules, held out"]
    return (
        f"{tables.markdown(header, rows)}\n\nThe paper tested on all its images, training "
        "images included, so its figures partly measure what the network has memorised. Only the "
        "held-out figures can be compared with other networks. The paper prints 28,526 / 33,128 as "
        "0.58721; it is 0.8611 ([paper.md](paper.md))."
    )


def _everything(result: RunResult | None) -> Figures | None:
    return result.get("everything") if result else None


def _held_out(result: RunResult | None) -> Figures | None:
    return result["held_out"]["figures"] if result else None


MAY_HAVE_LEARNED = " (may have learned from these images)"


def _compared(results: Results, served: Sequence[Served]) -> str:
    tested = {
        f"the paper's final network, {rules}": results[names[-1]]["held_out"]
        for rules, names in STAGES.items()
        if names[-1] in results
    }
    tested |= {
        model["name"] + ("" if model["set_aside"] else MAY_HAVE_LEARNED): model["held_out"]
        for model in served
    }
    rows = [
        [
            name,
            tables.number(one["figures"]["auc"]),
            tables.percent(one["sensitivity_at_paper_specificity"]),
            tables.percent(one["figures"]["sensitivity"]),
            tables.percent(one["figures"]["specificity"]),
        ]
        for name, one in tested.items()
    ]
    header = ["network", "AUC", f"melanomas found at {published.SPECIFICITY:.1%} specificity"]
    header += ["melanomas found at its own threshold", "benign called benign at its own threshold"]
    return (
        f"{tables.markdown(header, rows)}\n\nAll were tested on the held-out images. The served "
        "models were trained on far more images and sources, but, unless the table says otherwise, "
        "on no lesion or patient of these images. The paper reports 70.4 % of melanomas at 86.0 % "
        "specificity, on its own images."
    )


def _counts(correct: dict[str, list[int]], kind: str) -> list[list[int]]:
    return list(correct.values()) if kind == "overall" else [correct[kind]]


def _correct(pairs: Iterable[list[int]]) -> str:
    """Correct of total, summed over the classes; a dash for a run that is not finished."""
    sums = [sum(numbers) for numbers in zip(*pairs, strict=True)]
    return tables.fraction(*sums) if sums else "-"


def _epochs(result: RunResult) -> str:
    count = len(result["history"])
    stopped = f" of {result['epochs']}, stopped early" if count < result["epochs"] else ""
    return f"{count}{stopped}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"
