"""The diagnoses that the published sets use, in the words of the manifest."""

from training.datasets.manifest import CLINICAL, DERMOSCOPIC

MALIGNANT = frozenset({"melanoma", "bcc", "akiec", "scc"})
"""``akiec``, actinic keratosis and Bowen's disease, counts as malignant in every source."""

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
"""HAM10000 as the ISIC 2018 challenge (task 3) hands it out."""
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
# The ISIC 2025 challenge's classes (MILK10k). Other benign and malignant lesions and inflammation
# have no class of their own here; what is malignant of them is said by MILK10K_MALIGNANT.
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

# Lentigines and the keratoses are ISIC 2019's BKL, the reading of the SIIM challenge's winners
# (arXiv:2010.05351); the two single lesions at the end fit no class.
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

# The ISIC Archive's own words (package isic-metadata 4.12): beginnings of its second level of
# diagnosis, then of its third. What is decided but not listed keeps its class as "unknown".
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
"""Its first level of diagnosis; ``Indeterminate`` decides nothing."""
ARCHIVE_IMAGE_TYPES = frozenset({"", "dermoscopic", "clinical: close-up", "TBP tile: close-up"})
"""Pictures of one lesion; its others are overviews and microscopy."""
