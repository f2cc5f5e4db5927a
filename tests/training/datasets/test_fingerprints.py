"""Fingerprints of files that are unusual, but that the decoder accepts."""

import io
from pathlib import Path

import painter
import pytest
from PIL import Image

from training.datasets.fingerprints import fingerprint


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_a_photo_whose_first_brand_is_unknown_is_fingerprinted(kind: str, tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.fromarray(painter.lesion(size=200)).save(out, kind)
    usual, unusual = tmp_path / "usual", tmp_path / "unusual"
    usual.write_bytes(out.getvalue())
    unusual.write_bytes(out.getvalue()[:8] + b"miaf" + out.getvalue()[12:])
    assert fingerprint(unusual) == fingerprint(usual)
