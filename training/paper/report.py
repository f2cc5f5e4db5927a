"""The page of ``training.reproduce``: the paper's tables beside ours, and what differs and why.

Every figure on it is computed here, from the results or from what the paper prints.
"""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import keras

from training import networks
from training.evaluation import tables
from training.paper import published as paper
from training.paper.images import BENIGN_TO_MALIGNANT, SOURCES
from training.paper.plots import plot_runs, training_accuracy

NETWORKS = ("cnn_v1", "cnn_v2", "cnn_v3")
OPTIMIZERS = ("cnn_v2", "adam", "rmsprop", "adam_tenth")
STAGES = ("cnn_v2", "stage_2", "stage_3")
TITLES = {
    "cnn_v1": "version 1.0",
    "cnn_v2": "version 2.0",
    "cnn_v3": "version 3.0",
    "adam": "Adam",
    "rmsprop": "RMSprop",
    "adam_tenth": "Adam at a tenth of the rate (not in the paper)",
    "imbalanced": f"version 1.0, {BENIGN_TO_MALIGNANT}:1",
    "ours": "our way (cnn7)",
}

Results = dict[str, dict[str, Any]]


def write_report(
    experiment: dict[str, Any], results: Results, runs: Sequence[str], path: Path
) -> None:
    """Write the page, and its curves beside it.

    Args:
        experiment: what the runs belong to, of ``training.reproduce``.
        results: of the runs that are done, by name.
        runs: names of all runs.
        path: of the page; the curves get its name with the suffix .png.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = path.with_suffix(".png")
    plot_runs(results, picture)
    sections = {
        "The images": _images(experiment),
        "Layers and parameters": _layers(),
        "Accuracy by network": _by_network(results),
        "Accuracy by optimizer": _by_optimizer(results),
        "The staged run": _staged(results),
        f"The run on {BENIGN_TO_MALIGNANT} benign images to one malignant": _imbalanced(results),
        "The final test": _final(experiment, results),
        "Curves": f"![Accuracy over the epochs of each run, and the rate]({picture.name})",
        "Where the paper disagrees with itself": _list(_contradictions()),
        "What differs, and why": _list(_differences(experiment, results)),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    path.write_text(
        f"# The paper, reproduced\n\n{_heading(experiment, results, runs)}\n\n{body}\n",
        encoding="utf-8",
    )


def _heading(experiment: dict[str, Any], results: Results, runs: Sequence[str]) -> str:
    text = (
        "Written by `python -m training.reproduce`, every figure of it; change the command, not "
        f"this page. Seed {experiment['seed']}. Intervals are 95 %."
    )
    short = []
    if experiment["epochs"] < paper.EPOCHS[-1]:
        short.append(f"{experiment['epochs']} of the paper's {paper.EPOCHS[-1]} epochs")
    used = _total(experiment["parts"]["balanced"])
    if used < experiment["available"]:
        short.append(f"{used} of {experiment['available']} images")
    if short:
        text += (
            f"\n\n**This was a shortened run: {' and '.join(short)}. It shows that the command "
            "works and what it writes; its accuracies say nothing about the networks.**"
        )
    missing = [name for name in runs if name not in results]
    if missing:
        text += f"\n\n**Not finished: {', '.join(missing)} still to run.**"
    return text


def _images(experiment: dict[str, Any]) -> str:
    names = {
        "balanced": "1:1 (all runs but one)",
        "imbalanced": f"{BENIGN_TO_MALIGNANT}:1",
        "held_out": "held out",
        "everything": "as the paper tested",
    }
    rows = [
        [names[name], *(f"{benign} + {malignant}" for benign, malignant in part.values())]
        for name, part in experiment["parts"].items()
    ]
    benign, malignant = experiment["trained_among_everything"]
    return (
        f"Melanomas of {' and '.join(SOURCES)} and, to each, a benign image of the same source. "
        "Benign + melanoma:\n\n"
        f"{tables.markdown(['images', 'training', 'validation', 'test'], rows)}\n\n"
        f"The held-out images share no lesion or patient with the others. Among those of the last "
        f"line are {benign} benign images and {malignant} melanomas that the network was trained "
        f"on. {experiment['shared_groups']} validation images show a lesion or patient of a "
        "training image: the paper splits by image, and so do these runs."
    )


def _layers() -> str:
    ours = {name: _layers_of(_built(name)) for name in NETWORKS}
    rows = []
    for name in NETWORKS:
        convolutions = sum(layer.kind == "Conv2D" for layer in ours[name])
        said = paper.CONVOLUTIONS_IN_WORDS.get(name)
        differing = sum(a != b for a, b in zip(paper.LAYERS[name], ours[name], strict=True))
        rows.append(
            [
                TITLES[name],
                "-" if said is None else str(said),
                str(sum(layer.kind == "Conv2D" for layer in paper.LAYERS[name])),
                str(convolutions),
                f"{paper.PARAMETERS[name]:,}",
                f"{sum(layer.parameters for layer in ours[name]):,}",
                str(differing),
            ]
        )
    header = [
        "network",
        "convolutions in the paper's words",
        "in its table",
        "ours",
        "parameters in the paper",
        "ours",
        "lines of the table that differ",
    ]
    details = "\n\n".join(_layer_table(name, ours[name]) for name in NETWORKS)
    return f"{tables.markdown(header, rows)}\n\nIn full:\n\n{details}"


@cache
def _built(name: str) -> keras.Model:
    return getattr(networks, name)()


def _layers_of(network: keras.Model) -> list[paper.Layer]:
    """The network's layers as the paper lists them: without the input and its scaling."""
    return [
        paper.Layer(type(layer).__name__, tuple(layer.output.shape[1:]), layer.count_params())
        for layer in network.layers
        if not isinstance(layer, keras.layers.InputLayer | keras.layers.Rescaling)
    ]


def _layer_table(name: str, ours: list[paper.Layer]) -> str:
    rows = [
        [
            printed.kind,
            " x ".join(map(str, printed.output)),
            f"{printed.parameters:,}",
            " x ".join(map(str, own.output)),
            f"{own.parameters:,}",
        ]
        for printed, own in zip(paper.LAYERS[name], ours, strict=True)
    ]
    header = [TITLES[name], "output, paper", "parameters, paper", "output, ours", "ours"]
    return tables.markdown(header, rows)


def _by_network(results: Results) -> str:
    rows = [[TITLES[name], paper.ACCURACY[name], *_accuracies(results, name)] for name in NETWORKS]
    return tables.markdown(["network, SGD", "the paper", *_ACCURACIES], rows)


def _by_optimizer(results: Results) -> str:
    names = {"cnn_v2": "SGD"}
    said = {"cnn_v2": "sgd", "adam": "adam", "rmsprop": "rmsprop"}
    rows = [
        [
            names.get(name, TITLES[name]),
            paper.OPTIMIZERS[said[name]] if name in said else "-",
            *_accuracies(results, name),
        ]
        for name in OPTIMIZERS
    ]
    return tables.markdown(["optimizer, version 2.0", "the paper", *_ACCURACIES], rows)


_ACCURACIES = ("epochs", "training, last", "validation, last", "validation, best", "held-out AUC")


def _accuracies(results: Results, name: str) -> list[str]:
    if name not in results:
        return ["-"] * len(_ACCURACIES)
    history = results[name]["history"]
    return [
        _epochs(results[name]),
        _share(training_accuracy(history[-1])),
        _share(history[-1]["val_accuracy"]),
        _share(max(row["val_accuracy"] for row in history)),
        tables.number(results[name]["held_out"]["auc"]),
    ]


def _epochs(result: dict[str, Any]) -> str:
    done = len(result["history"])
    stopped = f" of {result['epochs']}, stopped early" if done < result["epochs"] else ""
    return f"{done}{stopped}"


def _staged(results: Results) -> str:
    rows = []
    for number, name in enumerate(STAGES, start=1):
        if name not in results:
            rows.append([str(number), *["-"] * 5])
            continue
        history = results[name]["history"]
        rates = [row["learning_rate"] for row in history]
        rows.append(
            [
                str(number),
                _epochs(results[name]),
                f"{rates[0]:.3g} to {rates[-1]:.3g}",
                _share(training_accuracy(history[-1])),
                _share(max(map(training_accuracy, history))),
                _share(history[-1]["val_accuracy"]),
            ]
        )
    said = paper.STAGED
    last = f"{paper.FIRST_RATE:g} to {paper.LOGGED_RATES[-1]:.3g}"
    highest = said["training accuracy"].rsplit("highest ", 1)
    printed = ["the paper", str(paper.EPOCHS[-1]), last, highest[0].rstrip(", "), highest[1]]
    rows.append([*printed, said["validation accuracy"]])
    header = ["stage", "epochs", "rate", "training, last", "training, highest", "validation, last"]
    return (
        "Each stage starts from the last weights of the one before, with a fresh optimizer and "
        f"the first rate again.\n\n{tables.markdown(header, rows)}"
    )


def _imbalanced(results: Results) -> str:
    always = BENIGN_TO_MALIGNANT / (BENIGN_TO_MALIGNANT + 1)
    text = (
        f"The paper reached {paper.IMBALANCED} so, and saw why. Who always answers benign is "
        f"right in {_share(always)} of such images"
    )
    if "imbalanced" not in results:
        return f"{text}."
    result = results["imbalanced"]
    last, held_out = result["history"][-1], result["held_out"]
    return (
        f"{text}; this run is in {_share(training_accuracy(last))} of those it trains on and "
        f"{_share(last['val_accuracy'])} of those set aside. On the held-out images it finds "
        f"{tables.percent(held_out['sensitivity'])} of the melanomas and calls "
        f"{tables.percent(held_out['specificity'])} of the benign ones benign."
    )


def _final(experiment: dict[str, Any], results: Results) -> str:
    final, ours = results.get("stage_3", {}), results.get("ours", {})
    columns = [final.get("everything"), final.get("held_out"), ours.get("held_out")]
    rows = []
    for kind in paper.RIGHT:
        right, total, share = paper.RIGHT[kind], paper.TOTALS[kind], paper.SHARES[kind]
        printed = f"{right:,} / {total:,} = {share}"
        rows.append([kind, printed, *(_right(column, kind) for column in columns)])
    for name, title, form in (
        ("auc", "AUC", tables.number),
        ("specificity_at_95_sensitivity", "specificity at 95 % sensitivity", tables.percent),
        ("ece", "calibration error", lambda value: f"{value:.3f}"),
    ):
        cells = ["-" if column is None else form(column[name]) for column in columns]
        rows.append([title, "-", *cells])
    header = [
        "right / total",
        "the paper, as printed",
        "its way, tested its way",
        "its way, held out",
        "our way, held out",
    ]
    text = tables.markdown(header, rows)
    if final and ours:
        text += (
            "\n\nThe paper's network calls malignant what it gives "
            f"{final['card']['threshold']:.1f} and more; ours what it gives "
            f"{ours['card']['threshold']:.3f} and more ({ours['card']['rule']}), and may answer "
            "that it cannot judge, which counts as right in neither class. Both learned from the "
            f"same {_total(experiment['parts']['balanced'])} images and saw as many in each of at "
            f"most {ours['epochs']} epochs. The lines under the counts do not depend on the "
            "threshold."
        )
    return text


def _right(column: dict[str, Any] | None, kind: str) -> str:
    if column is None:
        return "-"
    counts = list(column["right"].values()) if kind == "overall" else [column["right"][kind]]
    return tables.of(sum(c[0] for c in counts), sum(c[1] for c in counts))


def _contradictions() -> list[str]:
    total = paper.TOTALS["benign"] + paper.TOTALS["malignant"]
    meant = {kind: round(paper.SHARES[kind] * paper.TOTALS[kind]) for kind in _CLASSES}
    overall = sum(meant.values()) / total
    tables_of = {name: _kernels(name) for name in paper.LISTED_KERNELS}
    listing, other = paper.LISTED_KERNELS["cnn_v2"], paper.LISTED_KERNELS["cnn_v3"]
    swapped = listing == tables_of["cnn_v3"] and other == tables_of["cnn_v2"]
    in_table = sum(layer.kind == "Conv2D" for layer in paper.LAYERS["cnn_v2"])
    first = sum(layer.kind == "Conv2D" for layer in paper.LAYERS["cnn_v1"])
    halvings = {
        rate: math.log2(rate / paper.LOGGED_RATES[0])
        for rate in (paper.FIRST_RATE, paper.FIRST_RATE / 10)
    }
    return [
        f"The text speaks of {paper.CONVOLUTIONS_IN_WORDS['cnn_v2']} convolutional layers; the "
        f"table and the listing of version 2.0 have {in_table}. Version 1.0 is said to have "
        f"{paper.CONVOLUTIONS_IN_WORDS['cnn_v1']}; its table has {first}.",
        f"The listing under Figure 3 has kernels of {_sides(listing)}, that under Figure 4 of "
        f"{_sides(other)}: "
        + ("each belongs to the other figure" if swapped else "as in the tables")
        + ". The tables of layers agree with their parameters; ours follow the tables.",
        f"{paper.TOTALS['benign']:,} + {paper.TOTALS['malignant']:,} is {total:,}, not "
        f"{paper.TOTALS['overall']:,}.",
        f"It prints {paper.SHARES['overall']} for {paper.RIGHT['overall']:,} / "
        f"{paper.TOTALS['overall']:,}, which is "
        f"{paper.RIGHT['overall'] / paper.TOTALS['overall']:.4f}. "
        + "; ".join(
            f"{paper.RIGHT[kind]:,} / {paper.TOTALS[kind]:,} is "
            f"{paper.RIGHT[kind] / paper.TOTALS[kind]:.4f}, printed {paper.SHARES[kind]:.4f}"
            for kind in _CLASSES
        )
        + f". The printed shares are those of {meant['benign']:,} and {meant['malignant']:,} "
        f"right answers: together {sum(meant.values()):,} of {total:,}, {overall:.5f}, which is "
        f"the abstract's {tables.PAPER['overall']:.2f} %"
        + (
            f" and, with two digits changed over, {paper.SHARES['overall']}."
            if sorted(f"{overall:.5f}") == sorted(f"{paper.SHARES['overall']:.5f}")
            else "."
        ),
        f"Who always answers benign is right in {_share(paper.TOTALS['benign'] / total)} of its "
        f"test images, more than its {tables.PAPER['overall']:.2f} %.",
        "The log of its last epochs names the rate "
        f"{paper.LOGGED_RATES[0]:.4g}. From {paper.FIRST_RATE:g}, the rate it gives, that is "
        f"{halvings[paper.FIRST_RATE]:.2f} halvings; from {paper.FIRST_RATE / 10:g} it is "
        f"{halvings[paper.FIRST_RATE / 10]:.2f}: the last run started at a tenth of the rate "
        "in its listing.",
        "Early stopping is in its text; the listing of its last run lacks it, and its log goes on "
        "to the last epoch with a validation loss that no longer moves.",
    ]


_CLASSES = ("benign", "malignant")


def _kernels(name: str) -> tuple[int, ...]:
    return tuple(
        layer.kernel_size[0]
        for layer in _built(name).layers
        if isinstance(layer, keras.layers.Conv2D)
    )


def _sides(kernels: tuple[int, ...]) -> str:
    return ", ".join(map(str, kernels))


def _differences(experiment: dict[str, Any], results: Results) -> list[str]:
    used = _total(experiment["parts"]["balanced"])
    return [
        f"Images: about 1,000 in the paper, {used} here. It tested on its whole set, "
        "training images and all; the held-out figures are the ones to compare a network by. "
        + _leak(results),
        _schedule(results),
        _best_optimizer(results),
        "The images are decoded by `lens.images.decode`, with antialiasing; the paper's "
        "generator takes the nearest pixel. Each batch is drawn at random from the training "
        "images; the paper's goes through them in turn. Keras 3 in "
        f"{', '.join(sorted({r['precision'] for r in results.values()})) or 'float32'} here, "
        "Keras 2 in float32 there.",
        "Early stopping (validation loss, 10 epochs) acts in every run here, as the text has it. "
        + _stopped(results),
        "Our way differs in the network, the augmentation, the optimizer and its schedule, the "
        "average of weights, the choice of the epoch and the threshold by validation, and eight "
        "views of each photo. No pretrained network teaches it here, and it sees no other images.",
    ]


def _leak(results: Results) -> str:
    if "stage_3" not in results:
        return ""
    final = results["stage_3"]
    its_way, held_out = (final[name]["sensitivity"] for name in ("everything", "held_out"))
    return (
        f"Tested its way, the final network finds {tables.percent(its_way)} of the melanomas; of "
        f"those held out, {tables.percent(held_out)}."
    )


def _schedule(results: Results) -> str:
    text = (
        "ReduceLROnPlateau halves the rate whenever training accuracy, which jumps about with "
        "dropout and augmentation, has not reached a new high for three epochs: in the paper down "
        f"to {paper.LOGGED_RATES[-1]:.1g}, where nothing is learned any more."
    )
    done = [name for name in STAGES if name in results]
    if not done:
        return text
    lowest = min(row["learning_rate"] for name in done for row in results[name]["history"])
    return f"{text} The lowest here was {lowest:.2g}."


def _best_optimizer(results: Results) -> str:
    text = (
        "That SGD did best is the schedule's doing. All three were given the rate "
        f"{paper.FIRST_RATE:g}, at which Adam and RMSprop, which divide by the gradient's size, "
        "take far larger steps than SGD; and SGD alone was then trained for three times as long, "
        "its rate raised again at each start."
    )
    if any(name not in results for name in OPTIMIZERS):
        return text
    best = {
        name: max(row["val_accuracy"] for row in results[name]["history"]) for name in OPTIMIZERS
    }
    parts = [f"{TITLES[name] if name != 'cnn_v2' else 'SGD'} {_share(best[name])}" for name in best]
    return f"{text} Best validation accuracy here after equal epochs: {', '.join(parts)}."


def _stopped(results: Results) -> str:
    early = [name for name, r in results.items() if len(r["history"]) < r["epochs"]]
    return f"It ended {', '.join(early)} early." if early else "It ended no run early."


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _total(part: dict[str, list[int]]) -> int:
    return sum(map(sum, part.values()))


def _list(points: list[str]) -> str:
    return "\n".join(f"- {point.strip()}" for point in points)
