"""Write the model card (Mitchell et al. 2019), a README beside the model file."""

import os
from pathlib import Path

from lens import artifact
from lens.card import Card
from lens.files import replacing
from lens.verdict import EARLY_STOP_VIEWS
from training.cli import without_folders
from training.evaluation import tables
from training.evaluation.metrics import MIN_GROUPS
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
}


_FEW_MALIGNANT = 40
"""The card warns about the figures of a part with fewer malignant photos."""


def write_model_card(model: Path, card: Card, report: Report, pictures: Path) -> Path:
    """Write the model card beside a model file.

    Args:
        model: the model file, in which the report's figures are already stored.
        card: the card in the file.
        report: the report of ``training.evaluate``.
        pictures: the folder of roc.png, confusion.png and reliability.png.

    Returns:
        The file written: README.md, or a file named after the model if README.md is not its card.
    """
    path = _place(model)
    folder = Path(os.path.relpath(pictures, path.parent)).as_posix()
    sections = [
        _head(model, card),
        _USE,
        _figures(report, card, folder),
        _checks(report, folder),
        _data(card),
        _limits(report),
        _file(card),
    ]
    with replacing(path) as partial:
        partial.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    return path


def _place(model: Path) -> Path:
    """README.md if it is this model's card or missing; otherwise a file named after the model."""
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
`{card.name}` takes one photo of a skin lesion, 500 x 500 pixels, and predicts the probability
that it is malignant: melanoma, basal cell carcinoma, squamous cell carcinoma, or actinic keratosis
and Bowen's disease. {_thresholds(card)}
It refuses a verdict if the photo is too dark, too bright, flat or blurred, or seems to show no
lesion."""


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

The model demonstrates, for research, what a small network can and cannot do. It is meant for people
who study it, and for people who run the MoleLens site with its warnings.

**It is not a diagnosis and not a medical device.** It must not decide whether somebody sees a
doctor. A verdict of benign does not rule out cancer: a dermatologist should see every spot that is
new, changes, bleeds or worries its owner, whatever the verdict. The model is not for screening,
triage or insurance, nor for photos taken without consent."""


def _figures(report: Report, card: Card, folder: str) -> str:
    fitted = " The threshold was chosen on the validation split." if card.calibrated else ""
    unseen = {
        True: "The test images were set aside when the model was trained, and not used for any "
        "choice.",
        False: "**These test images are not those that were set aside when the model was trained. "
        "It may have learned from some of them, so the figures may be too good.**",
        None: "The model file does not record which images it was trained on; it may have learned "
        "from these.",
    }[report["split_as_trained"]]
    return f"""## Figures

All figures are from the test split.{fitted}
{unseen}

Intervals are 95 %, from {report["resamples"]:,} resamples of whole groups (all photos of a lesion
or patient), or exact binomial intervals for fewer than {MIN_GROUPS} groups. A refused lesion counts
as an error in sensitivity and specificity; its probability enters AUC and calibration.
"Specificity at 95 %" is read from the ROC curve at 95 % sensitivity on the test split itself.

{tables.parts(report)}

![ROC curves]({folder}/roc.png)

### Melanomas found

{tables.melanomas(report)}

### Compared with the paper

The paper's figures are from other images (33,128 of SIIM-ISIC 2020, melanoma only).

{tables.paper(report)}

![Confusion matrices]({folder}/confusion.png)"""


def _checks(report: Report, folder: str) -> str:
    return f"""### Calibration

{tables.calibration(report)}

![Reliability]({folder}/reliability.png)

### Refused

{tables.refused(report)}

### When the photo changes

"Cannot judge" counts as a verdict here. The photos are a random subset of the test split.

{tables.verdict_changes(report)}

### Does it look at the lesion?

{tables.lesion_checks(report)}

### By diagnosis

{tables.diagnoses(report)}

### By patient

From the data sets' own tables, as far as they record these traits. Few sets record the skin tone:
PAD-UFES-20 by visual estimate, MILK10k on its own scale.

{tables.patients(report)}"""


def _data(card: Card) -> str:
    counts = card.training_data.get("images_and_malignant", {})
    if not counts:
        listed = "The model file does not record what it was trained on."
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

Photos known to show the same lesion or patient are in the same split, with their duplicates and the
near-duplicates that were found. Most sets do not record the patient. The model file is for
non-commercial use, like the data it was trained on."""


def _limits(report: Report) -> str:
    return f"""## Limits and known failures

- The photos come from specialist clinics, whose patients have other lesions than people photograph
  at home. At home a smaller or larger share is malignant, so probabilities mean something else.
- Nearly all patients whose skin tone was recorded are light-skinned. The model is hardly tested on
  darker skin, palms, soles, nails, mucous membranes, and children.
- Other malignant lesions, such as Merkel cell carcinoma and lymphoma of the skin, are hardly in
  its data; it will call some of them benign.
- It judges a photo, not a person: it does not know the patient's history, how the lesion feels, or
  how it has changed.
- It was never tested prospectively, on patients before their diagnosis.
{_failures(report)}"""


def _failures(report: Report) -> str:
    """The errors that the test split shows, and the parts of it that are too small."""
    lines = []
    for name, (right, total) in report["diagnoses"].items():
        if name.endswith("(malignant)") and right < total:
            diagnosis = name.removesuffix(" (malignant)")
            lines.append(f"- It missed {total - right} of {total} test photos of {diagnosis}.")
    for name, part in report["test"].items():
        if part["malignant"] < _FEW_MALIGNANT:
            lines.append(
                f"- Only {part['malignant']} malignant test photos are in "
                f"{tables.NAMES.get(name, name)}: its figures are uncertain, see their intervals."
            )
    return "\n".join(lines)


def _file(card: Card) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in card.versions.items())
    lines = ["## How to rebuild it", ""]
    if card.command:
        lines += ["```", *map(without_folders, card.command.splitlines()), "```", ""]
    else:
        lines += ["The model file does not record which command made it.", ""]
    lines.append(
        f"Temperature {_temperatures(card)}; {_views(card)}"
        + (f"; made with {versions}" if versions else "")
        + (f"; made on {card.created}" if card.created else "")
        + ". `docs/experiments.md` describes the experiments."
    )
    return "\n".join(lines)


def _views(card: Card) -> str:
    """How many views of a photo are averaged."""
    if card.views == 1:
        return "1 view"
    if not card.margins:
        return f"mean logit of {card.views} views"
    early_stops = " or ".join(
        f"{views} if their mean is more than {margin:.2f} from the logit of the threshold"
        for views, margin in zip(EARLY_STOP_VIEWS, card.margins, strict=True)
    )
    return (
        f"mean logit of {card.views} views; if all views so far show a lesion and are of one kind, "
        f"only of {early_stops}"
    )
