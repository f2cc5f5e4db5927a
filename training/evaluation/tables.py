"""The report of ``training.evaluate`` as Markdown tables, which read well in a terminal too."""

from collections.abc import Mapping

from training.evaluation.metrics import Figures
from training.evaluation.results import Report
from training.evaluation.targets import Goal, goals

PAPER = {"benign": 85.99, "malignant": 70.38, "overall": 85.72}
"""The paper's abstract, in percent, on 33,128 images of SIIM-ISIC 2020."""

NAMES = {
    "pooled": "all sources",
    "clinical": "clinical photos, pooled",
    "dermoscopic": "dermoscopy, pooled",
    "pad_ufes": "pad_ufes (smartphone)",
    "not_lesion": "photographs of anything else",
    "skin_other": "skin diseases that are no mole",
}


def everything(report: Report) -> str:
    """All tables, each under its heading."""
    sections = {
        "Right verdicts, beside the paper's": paper(report),
        "Test figures (95 % intervals)": parts(report),
        "Melanomas found": melanomas(report),
        "Calibration": calibration(report),
        "Refused": refused(report),
        "Verdicts that change with the photo": changes(report),
        "Does it look at the lesion?": looking(report),
        "By diagnosis": diagnoses(report),
        "By patient": patients(report),
        "Goals": reached(report),
    }
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items()) + "\n"


def paper(report: Report) -> str:
    """The paper's table: right and total of benign, of malignant and of all."""
    shown = [name for name in ("dermoscopic", "clinical", "pooled") if name in report["test"]]
    rows = []
    for kind, percent in PAPER.items():
        counts = [_right(report["test"][name]["right"], kind) for name in shown]
        rows.append([kind, *counts, f"{percent:.2f} %"])
    return markdown(["right / total", *(NAMES[name] for name in shown), "the paper (SIIM)"], rows)


def _right(right: dict[str, list[int]], kind: str) -> str:
    counts = list(right.values()) if kind == "overall" else [right[kind]]
    return of(sum(c[0] for c in counts), sum(c[1] for c in counts))


def of(right: int, total: int) -> str:
    """3 of 4 as "3 / 4 (75.0 %)"."""
    return f"{right} / {total} ({right / total:.1%})".replace("%", " %") if total else "-"


def parts(report: Report) -> str:
    """AUC, sensitivity and specificity: of all, by kind of photo, then by source."""
    return _figures({NAMES.get(name, name): part for name, part in report["test"].items()})


def melanomas(report: Report) -> str:
    """Share of the melanomas called malignant, likewise."""
    rows = [
        [NAMES.get(name, name), str(part["n"]), percent(part["found"])]
        for name, part in report["melanomas"].items()
    ]
    return markdown(["", "melanomas", "found"], rows) if rows else "No melanoma among them."


def patients(report: Report) -> str:
    """The same per age band, sex, region of the body and skin tone."""
    flat = {
        f"{kind}: {value}": part
        for kind, values in report["patients"].items()
        for value, part in values.items()
    }
    return _figures(flat) if flat else "The tables of the sets are not beside the images."


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
    rows = [[NAMES.get(name, name), percent(share)] for name, share in report["refused"].items()]
    return markdown(["photos", "refused"], rows)


def changes(report: Report) -> str:
    """Share of photos whose verdict changes when the photo does."""
    rows = [
        [
            name,
            percent(found["changed"]),
            str(found["malignant_to_benign"]),
            str(found["to_cannot_judge"]),
        ]
        for name, found in report["verdict_changes"].items()
    ]
    first = next(iter(report["verdict_changes"].values()))
    header = [
        f"change of {first['photos']} photos",
        "verdict changed",
        "malignant to benign",
        "to cannot judge",
    ]
    return markdown(header, rows)


def looking(report: Report) -> str:
    """AUC with the lesion masked out, and the check of the heat map."""
    masked = [
        f"{NAMES.get(name, name)}: {number(auc)}" for name, auc in report["lesion_masked"].items()
    ]
    text = (
        "AUC with the lesion masked out (a grey disc, its diameter 70 % of the photo's side; 0.5 "
        "is chance):\n" + "; ".join(masked) + ". Where sources differ in their share of malignant "
        "lesions, telling the source raises the pooled figures; those of one source are free of it."
    )
    check = report["heat_map"]
    if check is None:
        return text + "\n\nThe network gives no heat map."
    return text + (
        f"\n\nCovering the heat map's hottest tenth changes the probability by\n"
        f"{check['hottest']:.3f} on average, a random tenth by {check['random']:.3f}; the hottest "
        f"changes it more in\n {percent(check['hottest_larger'])} of {check['photos']} photos."
    )


def diagnoses(report: Report) -> str:
    """Right and total of each diagnosis."""
    rows = [[name, of(*counts)] for name, counts in report["diagnoses"].items()]
    return markdown(["diagnosis", "right / total"], rows)


def reached(report: Report) -> str:
    """The project's goals, and whether the test split reached them."""
    rows = [[*describe(goal), "yes" if goal.reached else "NO"] for goal in goals(report)]
    return markdown(["figure", "measured", "goal", "reached"], rows)


def describe(goal: Goal) -> list[str]:
    """A goal in words: the figure, what was measured, what was wanted."""
    name = f"{goal.figure}, {NAMES.get(goal.part, goal.part)}"
    sign = "at least" if goal.at_least else "at most"
    if goal.figure.startswith("AUC"):
        return [name, number(goal.found), f"{sign} {goal.bound:.2f}"]
    if len(goal.found) == 1:
        return [name, f"{goal.found[0]:.3f}", f"{sign} {goal.bound:.2f}"]
    return [name, percent(goal.found), f"{sign} {100 * goal.bound:g} %"]


def number(found: list[float] | None) -> str:
    """[0.9312, 0.912, 0.948] as "0.931 (0.912-0.948)"; a dash for None."""
    return "-" if found is None else "{:.3f} ({:.3f}-{:.3f})".format(*found)


def percent(found: list[float] | None) -> str:
    """[0.884, 0.851, 0.913] as "88.4 % (85.1-91.3)"; a dash for None."""
    if found is None:
        return "-"
    return "{:.1f} % ({:.1f}-{:.1f})".format(*(100 * part for part in found))


def patient_order(value: str) -> tuple[bool, str]:
    """Sorts "under 40" before "40 to 59"; everything else by name."""
    return not value.startswith("under"), value


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with its columns aligned."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: list[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return f"| {' | '.join(padded)} |"

    rule = ["-" * max(3, width) for width in widths]
    widths = [max(3, width) for width in widths]
    return "\n".join([line(header), line(rule), *map(line, rows)])
