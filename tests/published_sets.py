"""Small synthetic data sets in their published layouts, for tests of ``training.prepare``."""

import csv
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

HAM = "HAM10000_metadata.csv"
TRUTH = "ISIC_2019_Training_GroundTruth.csv"
METADATA = "ISIC_2019_Training_Metadata.csv"
DUPLICATES = "ISIC_2020_Training_Duplicates.csv"
MILK_TRUTH = "MILK10k_Training_GroundTruth.csv"
MILK_METADATA = "MILK10k_Training_Metadata.csv"


def picture(seed: int, side: int = 12) -> Image.Image:
    """A picture that only this seed gives: side x side random patches, 160 pixels square."""
    patches = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((160, 160), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def put(path: Path, content: bytes | str | int) -> None:
    """Write bytes, text, or the picture of a seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, int):
        content = jpeg(picture(content))
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def published(folder: Path) -> Path:
    """Write all sets, each in its published layout, without duplicate pictures."""
    put(
        folder / "ham10000" / HAM,
        "lesion_id,image_id,dx,dx_type,age,sex,localization\n"
        "HAM_1,ISIC_0000101,mel,histo,50,male,back\n"
        "HAM_1,ISIC_0000102,mel,histo,50,male,back\n"
        "HAM_2,ISIC_0000103,akiec,histo,50,male,back\n"
        "HAM_3,ISIC_0000104,nv,histo,50,male,back\n",
    )
    for seed in (101, 102, 103, 104):
        put(folder / "ham10000" / "HAM10000_images_part_1" / f"ISIC_0000{seed}.jpg", seed)
    put(
        folder / "isic2019" / TRUTH,
        "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\n"
        "ISIC_0000201,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0\n"
        "ISIC_0000202,0,0,0,0,1,0,0,0,0\n"
        "ISIC_0000203,0,1,0,0,0,0,0,0,0\n",
    )
    put(
        folder / "isic2019" / METADATA,
        "image,age_approx,anatom_site_general,lesion_id,sex\n"
        "ISIC_0000201,50,back,MSK4_1,male\n"
        "ISIC_0000202,50,back,,male\n"
        "ISIC_0000203,50,back,HAM_3,male\n",
    )
    for seed in (201, 202, 203):
        put(folder / "isic2019" / "images" / f"ISIC_0000{seed}.jpg", seed)
    put(
        folder / "siim2020" / "train.csv",
        "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,"
        "benign_malignant,target\n"
        "ISIC_0000301,IP_1,male,50,back,unknown,benign,0\n"
        "ISIC_0000302,IP_1,male,50,back,melanoma,malignant,1\n"
        "ISIC_0000303,IP_2,male,50,back,lentigo NOS,benign,0\n",
    )
    for seed in (301, 302, 303):
        put(folder / "siim2020" / "jpeg" / "train" / f"ISIC_0000{seed}.jpg", seed)
    put(
        folder / "pad_ufes" / "metadata.csv",
        "patient_id,lesion_id,diagnostic,img_id\n"
        "PAT_1,1,ACK,PAT_1_1_1.png\n"
        "PAT_1,2,NEV,PAT_1_2_2.png\n"
        "PAT_2,3,BCC,PAT_2_3_3.png\n",
    )
    for seed, name in ((401, "PAT_1_1_1"), (402, "PAT_1_2_2"), (403, "PAT_2_3_3")):
        put(folder / "pad_ufes" / "images" / f"{name}.png", seed)
    put(
        folder / "isic_archive" / "metadata.csv",
        "isic_id,attribution,copyright_license,age_approx,diagnosis_1,diagnosis_2,diagnosis_3,"
        "fitzpatrick_skin_type,image_type,lesion_id,patient_id,sex\n"
        "ISIC_0000701,A,CC-0,45,Malignant,Malignant melanocytic proliferations (Melanoma),"
        '"Melanoma Invasive",II,dermoscopic,IL_1,IP_1,male\n'
        "ISIC_0000702,A,CC-0,45,Indeterminate,Indeterminate epidermal proliferations,"
        "Solar or actinic keratosis,,clinical: close-up,IL_2,,male\n"
        "ISIC_0000703,A,CC-0,45,Benign,Benign melanocytic proliferations,Nevus,,dermoscopic,,,\n"
        "ISIC_0000704,A,CC-0,45,Malignant,Merkel cell proliferation,,,dermoscopic,,,\n"
        "ISIC_0000705,A,CC-0,45,Malignant,Malignant epidermal proliferations,"
        '"Squamous cell carcinoma, Invasive",,TBP tile: close-up,IL_5,,\n'
        "ISIC_0000706,A,CC-0,45,Indeterminate,Indeterminate melanocytic proliferations,"
        "Atypical Spitz tumor,,dermoscopic,,,\n"
        "ISIC_0000707,A,CC-0,45,Benign,,,,RCM: tile,,,\n"
        "ISIC_0000708,A,CC-0,45,,,,,dermoscopic,,,\n",
    )
    for seed in range(701, 709):
        put(folder / "isic_archive" / f"ISIC_0000{seed}.jpg", seed)
    put(
        folder / "milk10k" / MILK_TRUTH,
        "lesion_id,AKIEC,BCC,BEN_OTH,BKL,DF,INF,MAL_OTH,MEL,NV,SCCKA,VASC\n"
        "IL_11,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0,0.0,0.0\n"
        "IL_12,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0,0.0,0.0,0.0\n"
        "IL_13,0.0,0.0,0.0,0.0,0.0,1.0,0.0,0.0,0.0,0.0,0.0\n",
    )
    put(
        folder / "milk10k" / MILK_METADATA,
        "lesion_id,image_type,isic_id,age_approx,sex,skin_tone_class,site\n"
        "IL_11,clinical: close-up,ISIC_0000801,45,male,3,trunk\n"
        "IL_11,dermoscopic,ISIC_0000802,45,male,3,trunk\n"
        "IL_12,clinical: close-up,ISIC_0000803,45,male,1,hand\n"
        "IL_12,dermoscopic,ISIC_0000804,45,male,1,hand\n"
        "IL_13,clinical: close-up,ISIC_0000805,45,male,,\n",
    )
    for seed, lesion in ((801, 11), (802, 11), (803, 12), (804, 12), (805, 13)):
        photos = folder / "milk10k" / "MILK10k_Training_Input" / f"IL_{lesion}"
        put(photos / f"ISIC_0000{seed}.jpg", seed)
    put(folder / "melanoma10k" / "train" / "benign" / "melanoma_1.jpg", 901)
    put(folder / "melanoma10k" / "train" / "malignant" / "melanoma_2.jpg", 902)
    put(folder / "melanoma10k" / "test" / "malignant" / "melanoma_2.jpg", 903)
    put(folder / "folders" / "benign" / "a.jpg", 501)
    put(folder / "folders" / "malignant" / "deeper" / "b.jpg", 502)
    put(folder / "not_lesion" / "cat.jpg", 601)
    put(folder / "not_lesion" / "dog.jpg", 602)
    return folder


SETS = ("ham10000", "isic2019", "siim2020", "pad_ufes", "folders")


def command(data: Path, out: Path, *names: str) -> list[str]:
    """Arguments of ``training.prepare`` for the named sets, by default all of ``SETS``."""
    options = [f"--{name.replace('_', '-')}={data / name}" for name in names or SETS]
    return [*options, "--out", str(out)]


def manifest(out: Path, name: str = "manifest.csv") -> list[dict[str, str]]:
    """The rows of a manifest."""
    with (out / name).open(newline="") as file:
        return list(csv.DictReader(file))


def by_name(out: Path) -> dict[str, dict[str, str]]:
    """The rows of the manifest, by the name of the image without suffix."""
    return {Path(row["path"]).stem: row for row in manifest(out)}
