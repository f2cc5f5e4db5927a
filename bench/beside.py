"""Our app with nothing to decode and no network to run: what a request still costs is the rest.

The plain checks, the turns of the views and everything that reads, counts and answers are ours.
"""

import dataclasses
from io import BytesIO

import numpy as np
from PIL import ImageOps

from bench import photos
from lens import images
from lens.engine import Outputs
from wsgi import app


class NoNetwork:
    """Answers at once, and without doubt: two views are enough, as for the photo of the load."""

    name = "none"

    def run(self, views: np.ndarray) -> Outputs:
        """What an engine says of uint8 images (n, 500, 500, 3), always the same."""
        n = len(views)
        return Outputs(
            np.full(n, 0.99, np.float32), np.ones((n, 8, 8), np.float32), np.ones(n, np.float32)
        )


def _decoded() -> np.ndarray:
    file = BytesIO()
    ImageOps.fit(photos.paint(), (images.SIZE, images.SIZE)).save(file, "PNG")
    return images.decode(file.getvalue())


_pixels = _decoded()
images.decode = lambda data: _pixels
app.extensions["molelens"] = dataclasses.replace(app.extensions["molelens"], engine=NoNetwork())
