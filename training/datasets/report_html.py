"""The parts that the data report's page is built of."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

from lens.images import decode
from training.datasets.records import Record

THUMBNAIL = 112  # pixels
TELLING = 0.1
"""From this distance to one half, the figure of a difference between classes is marked."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; margin: 2rem auto; max-width: 62rem;
  padding: 0 1rem; }
h1, h2 { color: #0b6e75; } h2 { border-top: 1px solid #dfe3e8; padding-top: 1.5rem; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .25rem; }
th, td { padding: .15rem .8rem .15rem 0; text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; } tr { border-bottom: 1px solid #dfe3e8; }
figure { display: inline-block; margin: 0 .5rem .5rem 0; } figcaption { font-size: 12px; }
img { width: 112px; height: 112px; display: inline-block; }
.telling { color: #b4554d; font-weight: 600; }
"""


def thumbnail(record: Record) -> str:
    """The image, small, in the page itself."""
    assert record.path is not None
    picture = Image.fromarray(decode(record.path.read_bytes()))
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=75)
    data = base64.b64encode(buffer.getvalue()).decode()
    name = escape(f"{record.source} {record.image}", quote=True)
    return f'<img alt="{name}" title="{name}" src="data:image/jpeg;base64,{data}">'


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells that begin with a tag are HTML already, all others are escaped."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{body}</table>"


def _cell(text: str) -> str:
    return text if text.startswith('<span class="telling">') else escape(text)


def spread(values: np.ndarray) -> str:
    """Median, with the 5th and 95th percentile."""
    if not len(values):
        return "-"
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return f"{middle:.0f} ({low:.0f} to {high:.0f})"


def telling(labels: np.ndarray, values: np.ndarray) -> str:
    """Share of pairs in which the malignant image has more, marked where it is far from half."""
    if len(set(labels.tolist())) < 2:
        return "-"
    share = float(roc_auc_score(labels, values))
    text = f"{share:.2f}"
    return f'<span class="telling">{text}</span>' if abs(share - 0.5) >= TELLING else text
