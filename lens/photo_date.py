"""The day on which a photo was taken, as the camera wrote it into the file."""

from contextlib import suppress
from datetime import date, datetime

from PIL import ExifTags, Image

from lens import pixels


def day_taken(data: bytes) -> date | None:
    """The day in the EXIF data of a photo; None where it has none, or none that can be read.

    No pixel is decoded. EXIF behind the pixels, which PNG allows and cameras do not write, is not
    looked for.
    """
    with suppress(Exception):  # Pillow raises anything at all on damaged EXIF.
        exif = Image.Exif()
        exif.load(pixels.open_photo(data).image.info["exif"])
        text = exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal]
        return datetime.strptime(text[:10], "%Y:%m:%d").date()
    return None
