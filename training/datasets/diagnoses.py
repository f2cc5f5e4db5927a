"""Translate the published sets' diagnoses to those of the manifest."""

from training.datasets.manifest import CLINICAL, DERMOSCOPIC

MALIGNANT = frozenset({"melanoma", "bcc", "akiec", "scc"})
"""``akiec`` (actinic keratosis and Bowen's disease) counts as malignant in every source."""

HAM10000_DIAGNOSES = {
    "nv": "nevus",
    "mel": "melanoma",
    "bcc": "bcc",
    "akiec": "akiec",
    "bkl": "bkl",
    "df": "df",
    "vasc": "vasc",
}
ISIC2018_DIAGNOSES = {name.upper(): diagnosis for name, diagnosis in HAM10000_DIAGNOSES.items()}
"""The same diagnoses in the tables of the ISIC 2018 challenge (task 3), which is HAM10000."""
ISIC2019_DIAGNOSES = {
    "NV": "nevus",
    "MEL": "melanoma",
    "BCC": "bcc",
    "AK": "akiec",
    "SCC": "scc",
    "BKL": "bkl",
    "DF": "df",
    "VASC": "vasc",
}
PAD_UFES_DIAGNOSES = {
    "NEV": "nevus",
    "MEL": "melanoma",
    "BCC": "bcc",
    "ACK": "akiec",
    "SCC": "scc",
    "SEK": "bkl",
}
# The classes of the ISIC 2025 challenge (MILK10k). The manifest has no diagnosis for its classes of
# other benign lesions, other malignant lesions and inflammation; MILK10K_MALIGNANT labels them.
MILK10K_DIAGNOSES = {
    "AKIEC": "akiec",
    "BCC": "bcc",
    "BEN_OTH": "unknown",
    "BKL": "bkl",
    "DF": "df",
    "INF": "unknown",
    "MAL_OTH": "unknown",
    "MEL": "melanoma",
    "NV": "nevus",
    "SCCKA": "scc",
    "VASC": "vasc",
}
MILK10K_MALIGNANT = frozenset({"AKIEC", "BCC", "MAL_OTH", "MEL", "SCCKA"})
MILK10K_KINDS = {"clinical: close-up": CLINICAL, "dermoscopic": DERMOSCOPIC}

# Lentigines and keratoses are mapped to ISIC 2019's BKL, as by the winners of the SIIM challenge
# (arXiv:2010.05351). The last two diagnoses, of one lesion each, fit no class.
SIIM2020_DIAGNOSES = {
    "nevus": "nevus",
    "melanoma": "melanoma",
    "seborrheic keratosis": "bkl",
    "lichenoid keratosis": "bkl",
    "solar lentigo": "bkl",
    "lentigo NOS": "bkl",
    "unknown": "unknown",
    "cafe-au-lait macule": "unknown",
    "atypical melanocytic proliferation": "unknown",
}

# Prefixes of the second or third level of diagnosis in the ISIC Archive (package isic-metadata
# 4.12); the first match counts. A diagnosis that is not listed becomes "unknown", with the label of
# its first level.
ARCHIVE_DIAGNOSES = {
    "Malignant melanocytic proliferations": "melanoma",
    "Basal cell carcinoma": "bcc",
    "Squamous cell carcinoma in situ": "akiec",
    "Squamous cell carcinoma": "scc",
    "Solar or actinic keratosis": "akiec",
    "Nevus": "nevus",
    "Seborrheic keratosis": "bkl",
    "Lichen planus like keratosis": "bkl",
    "Pigmented benign keratosis": "bkl",
    "Solar lentigo": "bkl",
    "Lentigo NOS": "bkl",
    "Dermatofibroma": "df",
    "Benign soft tissue proliferations - Vascular": "vasc",
    "Hemorrhagic lesions": "vasc",
}
ARCHIVE_CLASSES = {"Benign": 0, "Malignant": 1}
"""The label for the first level of diagnosis; ``Indeterminate`` has none."""
ARCHIVE_IMAGE_TYPES = frozenset({"", "dermoscopic", "clinical: close-up", "TBP tile: close-up"})
"""Image types that show one lesion; the other types are overviews and microscopy."""
