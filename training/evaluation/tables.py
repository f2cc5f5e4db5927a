"""Format the report of ``training.evaluate`` as Markdown tables, for the card and the terminal."""

from collections.abc import Mapping

from training.evaluation.metrics import Figures, Interval
from training.evaluation.results import Report
from training.evaluation.robustness import RANDOM_TENTHS

PAPER_ACCURACY = {"benign": 85.99, "malignant": 70.38, "overall": 85.72}
"""Percent correct in the paper's abstract, on 33,128 images of SIIM-ISIC 2020."""

NAMES = {
    "pooled": "all sources",
    "clinical": "clinical photos, pooled",
    "dermoscopic": "dermoscopy, pooled",
    "pad_ufes": "pad_ufes (smartphone)",
    "not_lesion": "photographs of anything else",
    "skin_other": "skin diseases other than moles",
}


def all_tables(report: Report) -> str:
    """All tables, each under its heading."""
    sections = {
        "Correct verdicts, compared with the paper": paper(report),
        "Test figures (95 % intervals)": parts(report),
        "Melanomas found": melanomas(report),
        "Calibration": calibration(report),
        "Refused": refused(report),
        "Verdicts that change with the photo": verdict_changes(report),
        "Does it look at the lesion?": lesion_checks(report),
        "By diagnosis": diagnoses(report),
        "By patient": patients(report),
    }
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items()) + "\n"


def paper(report: Report) -> str:
    """The paper's table: correct verdicts and total for benign, malignant and all photos."""
    shown = [name for name in ("dermoscopic", "clinical", "pooled") if name in report["test"]]
    rows = []
    for kind, accuracy in PAPER_ACCURACY.items():
        counts = [_correct(report["test"][name]["right"], kind) for name in shown]
        rows.append([kind, *counts, f"{accuracy:.2f} %"])
    return markdown(["correct / total", *(NAMES[name] for name in shown), "the paper (SIIM)"], rows)


def _correct(correct: dict[str, list[int]], kind: str) -> str:
    counts = list(correct.values()) if kind == "overall" else [correct[kind]]
    return fraction(sum(c[0] for c in counts), sum(c[1] for c in counts))


def fraction(count: int, total: int) -> str:
    """A fraction such as "3 / 4 (75.0 %)"."""
    return f"{count} / {total} ({count / total:.1%})".replace("%", " %") if total else "-"


def parts(report: Report) -> str:
    """AUC, sensitivity and specificity of all photos, by kind of photo, and by source."""
    return _figures({NAMES.get(name, name): part for name, part in report["test"].items()})


def melanomas(report: Report) -> str:
    """Share of the melanomas called malignant, for all photos, by kind of photo, and by source."""
    rows = [
        [NAMES.get(name, name), str(part["n"]), percent(part["found"])]
        for name, part in report["melanomas"].items()
    ]
    return markdown(["", "melanomas", "found"], rows) if rows else "There are no melanomas."


def patients(report: Report) -> str:
    """AUC, sensitivity and specificity by age band, sex, region of the body and skin tone."""
    flat = {
        f"{kind}: {value}": part
        for kind, values in report["patients"].items()
        for value, part in values.items()
    }
    return _figures(flat) if flat else "No tables of the data sets were found near the images."


def _figures(named: Mapping[str, Figures]) -> str:
    header = ["", "photos (malignant)", "AUC", "sensitivity", "specificity", "specificity at 95 %"]
    rows = [
        [
            name,
            f"{part['n']} ({part['malignant']})",
            number(part["auc"]),
            percent(part["sensitivity"]),
            percent(part["specificity"]),
            percent(part["specificity_at_95_sensitivity"]),
        ]
        for name, part in named.items()
    ]
    return markdown(header, rows)


def calibration(report: Report) -> str:
    """Expected calibration error and Brier score."""
    rows = [
        [NAMES.get(name, name), f"{part['ece']:.3f}", number(part["brier"])]
        for name, part in report["test"].items()
    ]
    return markdown(["", "calibration error (15 bins)", "Brier score"], rows)


def refused(report: Report) -> str:
    """Share of photos that got no verdict."""
    shares = [*report["refused"].items(), *report["others_refused"].items()]
    rows = [[NAMES.get(name, name), percent(share)] for name, share in shares]
    return markdown(["photos", "refused"], rows)


def verdict_changes(report: Report) -> str:
    """Share of photos whose verdict changes when the photo does."""
    rows = [
        [
            name,
            percent(change["changed"]),
            str(change["malignant_to_benign"]),
            str(change["to_cannot_judge"]),
        ]
        for name, change in report["verdict_changes"].items()
    ]
    first = next(iter(report["verdict_changes"].values()))
    header = [
        f"change of {first['photos']} photos",
        "verdict changed",
        "malignant to benign",
        "to cannot judge",
    ]
    return markdown(header, rows)


def lesion_checks(report: Report) -> str:
    """AUC with the lesion masked, and the check of the heat map."""
    masked = [
        f"{NAMES.get(name, name)}: {number(auc)}" for name, auc in report["lesion_masked"].items()
    ]
    text = (
        "AUC with the lesion masked (by a grey disc with a diameter of 70 % of the photo's side; "
        "0.5 is chance):\n" + "; ".join(masked) + ". Where the share of malignant "
        "lesions differs between sources, recognising the source raises the pooled figures, but "
        "not those of a single source."
    )
    check = report["heat_map"]
    if check is None:
        return text + "\n\nThe network has no heat map."
    return text + (
        f"\n\nCovering the heat map's hottest tenth changes the probability by\n"
        f"{check['hottest']:.3f} on average, a random tenth by {check['random']:.3f}. The hottest "
        f"tenth changes it\nmore than {RANDOM_TENTHS} random tenths do on average in "
        f"{percent(check['hottest_larger'])} of {check['photos']} photos."
    )


def diagnoses(report: Report) -> str:
    """Correct verdicts and total of each diagnosis."""
    rows = [[name, fraction(*counts)] for name, counts in report["diagnoses"].items()]
    return markdown(["diagnosis", "correct / total"], rows)


def number(interval: Interval | None) -> str:
    """Format an interval such as "0.931 (0.912-0.948)"; None becomes a dash."""
    return "-" if interval is None else "{:.3f} ({:.3f}-{:.3f})".format(*interval)


def percent(interval: Interval | None) -> str:
    """Format an interval in percent such as "88.4 % (85.1-91.3)"; None becomes a dash."""
    if interval is None:
        return "-"
    return "{:.1f} % ({:.1f}-{:.1f})".format(*(100 * value for value in interval))


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with its columns aligned."""
    widths = [max(3, *map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: list[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return f"| {' | '.join(padded)} |"

    rule = ["-" * width for width in widths]
    return "\n".join([line(header), line(rule), *map(line, rows)])
