"""Types of the arrays that modules pass to each other."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
"""An image (height, width, 3) or images (n, height, width, 3), RGB, 0-255."""

Floats: TypeAlias = NDArray[np.floating[Any]]
