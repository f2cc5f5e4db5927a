"""The model card: a text beside the model file (Mitchell et al. 2019), made of figures."""

import os
from pathlib import Path

from lens import artifact
from lens.card import Card
from lens.files import replacing
from lens.verdict import EARLY_STOP_VIEWS
from training.evaluation import tables
from training.evaluation.metrics import FEWEST
from training.evaluation.results import Report

_SETS = {
    "ham10000": ("HAM10000: dermoscopy, Vienna and Queensland", "CC BY-NC 4.0"),
    "isic2019": ("ISIC 2019: dermoscopy, several clinics", "CC0 or CC BY-NC 4.0, by image"),
    "siim2020": ("SIIM-ISIC 2020: dermoscopy, several clinics", "CC BY-NC 4.0"),
    "pad_ufes": ("PAD-UFES-20: smartphone photos, Espírito Santo", "CC BY 4.0"),
    "milk10k": ("MILK10k: both kinds of each lesion, many clinics", "CC BY-NC 4.0"),
    "melanoma10k": (
        "10,000 melanoma images: dermoscopy, ISIC Archive",
        "by image, CC BY-NC at the strictest",
    ),
    "isic_archive": ("ISIC Archive: dermoscopy, many clinics", "CC0, CC BY or CC BY-NC, by image"),
    "folders": ("a folder of the trainer's own", "the trainer's to say"),
}


def write_model_card(model: Path, card: Card, report: Report, pictures: Path) -> Path:
    """Write the model card beside a model file.

    Args:
        model: the file, its card already holding the report's figures.
        card: what the file says of itself.
        report: of ``training.evaluate``.
        pictures: folder of roc.png, confusion.png and reliability.png.

    Returns:
        Where it was written: README.md, or MODEL.md where README.md is about something else.
    """
    path = _place(model)
    where = Path(os.path.relpath(pictures, path.parent)).as_posix()
    sections = [
        _head(model, card),
        _USE,
        _figures(report, card, where),
        _data(card),
        _limits(report),
        _file(card),
    ]
    with replacing(path) as partial:
        partial.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    return path


def _place(model: Path) -> Path:
    """README.md, where it is missing or this model's; beside that of another, MODEL.md."""
    readme = model.with_name("README.md")
    try:
        with readme.open(encoding="utf-8") as file:
            ours = file.readline().strip() == _title(model)
    except FileNotFoundError:
        ours = True
    return readme if ours else model.with_suffix(".md")


def _title(model: Path) -> str:
    return f"# Model card: {model.name}"


def _head(model: Path, card: Card) -> str:
    calibrated = "" if card.calibrated else "\n**Not calibrated: its probabilities are scores.**\n"
    return f"""{_title(model)}

Written by `python -m training.evaluate`, not by hand. SHA-256 `{artifact.sha256(model)}`.
{calibrated}
`{card.name}` looks at one photo of a skin lesion, 500 x 500 pixels, and gives the probability
that it is malignant: melanoma, basal cell carcinoma, squamous cell carcinoma, or actinic keratosis
and Bowen's disease. {_thresholds(card)}
Photos that are too dark, too bright, flat, blurred, or of what it takes for no lesion get no
verdict."""


def _thresholds(card: Card) -> str:
    sentences = []
    for kind, point in card.distinct_points().items():
        photos = "" if kind == "any" else f" for {kind} photos"
        rule = f" ({point.threshold_rule})" if point.threshold_rule else ""
        sentences.append(
            f"At {point.threshold:.3f} and above the verdict is malignant{photos}{rule}."
        )
    return "\n".join(sentences)


def _temperatures(card: Card) -> str:
    return ", ".join(
        f"{point.temperature:.3f}" + ("" if kind == "any" else f" for {kind} photos")
        for kind, point in card.distinct_points().items()
    )


_USE = """## Intended use

A research demonstration of what a small network can and cannot do, for people who study it or who
run the MoleLens site with its warnings in place.

**It is not a diagnosis and not a medical device.** It must not decide whether somebody sees a
doctor: a verdict of benign is no all-clear, and a spot that is new, changes, bleeds or worries its
owner should be seen by a dermatologist whatever the verdict. It is not for screening, triage or
insurance, nor for photos taken without consent."""


def _figures(report: Report, card: Card, where: str) -> str:
    fitted = ", and the threshold comes from validation" if card.calibrated else ""
    unseen = {
        True: "The test images are those set aside when the model was trained.",
        False: "**These test images are not those set aside when the model was trained; it may "
        "have learned from some of them, and the figures may flatter it.**",
        None: "The model file does not say what it was trained on; it may have learned from these "
        "images.",
    }[report["split_as_trained"]]
    return f"""## Figures

Test split only; no choice was made on it{fitted}.
{unseen}

Intervals are 95 %, from {report["resamples"]:,} resamples of whole groups (a lesion's or a
patient's photos together), or exact binomial ones of fewer groups than {FEWEST}. A refused lesion
counts as neither found nor called benign; AUC and calibration count its probability all the same.
"Specificity at 95 %" is the point of the ROC curve with 95 % sensitivity on the test split itself.

{tables.parts(report)}

![ROC curves]({where}/roc.png)

### Melanomas found

{tables.melanomas(report)}

### Beside the paper

The paper's figures are from other images (33,128 of SIIM-ISIC 2020, melanoma alone).

{tables.paper(report)}

![Verdicts against the truth]({where}/confusion.png)

### Calibration

{tables.calibration(report)}

![Reliability]({where}/reliability.png)

### Refused

{tables.refused(report)}

### When the photo changes

"Cannot judge" counts as a verdict here. The photos are a random subset of the test split.

{tables.changes(report)}

### Does it look at the lesion?

{tables.looking(report)}

### By diagnosis

{tables.diagnoses(report)}

### By patient

From the sets' own tables, where they say. Few record the skin tone: PAD-UFES-20 by eye, MILK10k on
a scale of its own.

{tables.patients(report)}"""


def _data(card: Card) -> str:
    counts = card.training_data.get("images_and_malignant", {})
    if not counts:
        listed = "The model file does not say what it was trained on."
    else:
        rows = []
        for source, splits in counts.items():
            title, terms = _SETS.get(source, (source, "unknown"))
            numbers = [splits.get(split, [0, 0]) for split in ("train", "val", "test")]
            rows.append([title, *(f"{n:,} ({m:,})" for n, m in numbers), terms])
        header = ["images (malignant)", "train", "validation", "test", "terms"]
        listed = tables.markdown(header, rows)
    return f"""## Data

{listed}

Photos of one lesion or one patient, duplicates and near-duplicates are in one split only. The model
file is for non-commercial use, as the terms of its data are."""


def _limits(report: Report) -> str:
    return f"""## Limits and known failures

- The photos come from specialist clinics, which see other lesions than people photograph at home:
  how often one is malignant, and so what a probability means, differs.
- Nearly all patients are light-skinned, as far as anybody recorded it. On darker skin, on palms,
  soles, nails and mucous skin, and on children, it is untested or nearly so.
- Other malignant lesions, such as Merkel cell carcinoma and lymphoma of the skin, are not in its
  data; it will call some of them benign.
- It judges a photo, not a person: it knows no history, no touch, and no change over time.
- It was never tested in patients before a decision was made.
{_failures(report)}"""


def _failures(report: Report) -> str:
    """What the test split itself shows to go wrong."""
    lines = []
    for name, (right, total) in report["diagnoses"].items():
        if name.endswith("(malignant)") and right < total:
            diagnosis = name.removesuffix(" (malignant)")
            lines.append(f"- It missed {total - right} of {total} test photos of {diagnosis}.")
    for name, part in report["test"].items():
        if part["malignant"] < _FEW:
            held = f"{tables.NAMES.get(name, name)} holds {part['malignant']} malignant test photos"
            lines.append(f"- {held}: its figures say little; read the interval.")
    return "\n".join(lines)


_FEW = 40


def _file(card: Card) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in card.versions.items())
    lines = ["## How to rebuild it", ""]
    if card.command:
        lines += ["```", card.command, "```", ""]
    else:
        lines += ["The model file does not say which command made it.", ""]
    lines.append(
        f"Temperature {_temperatures(card)}; {_views(card)} averaged"
        + (f"; made with {versions}" if versions else "")
        + (f"; made on {card.created}" if card.created else "")
        + ". `docs/experiments.md` tells what was tried."
    )
    return "\n".join(lines)


def _views(card: Card) -> str:
    if card.views == 1:
        return "1 view"
    if not card.margins:
        return f"{card.views} views"
    few = " or ".join(
        f"{views} where their logit is more than {margin:.2f} from the threshold's"
        for views, margin in zip(EARLY_STOP_VIEWS, card.margins, strict=True)
    )
    return f"{card.views} views, or {few},"
