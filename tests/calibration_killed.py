"""Calibrate a tiny network in forked children, of which the n-th is killed at its n-th step.

    python tests/calibration_killed.py FILE.h5

After each child, print the state of FILE.h5: "old", "new" or "not calibrated". A step is the first
call of a function of ``training.fit.calibration`` or of ``artifact.save``, or the renaming of a
file.
"""

import os
import signal
import sys
from pathlib import Path
from types import FrameType

import keras
import numpy as np

from lens import artifact, engine
from training.datasets.manifest import Row
from training.fit import calibration

OLD = b"the old model"


def tiny() -> keras.Model:
    """A network with outputs of cnn7 that predicts within milliseconds, with fixed weights.

    Some random weights separate the four images perfectly, which cannot be calibrated.
    """
    keras.utils.set_random_seed(1)
    pixels = keras.Input((500, 500, 3), name="pixels")
    cells = keras.layers.AveragePooling2D(100)(keras.layers.Rescaling(1 / 255)(pixels))
    heat_map = keras.layers.Dense(1, name="heat_map")(cells)
    mean = keras.layers.GlobalAveragePooling2D()
    malignant = keras.layers.Activation("sigmoid", name="malignant")(mean(heat_map))
    lesion = keras.layers.Dense(1, "sigmoid", name="lesion")(mean(cells))
    outputs = {"malignant": malignant, "lesion": lesion, "heat_map": heat_map}
    return keras.Model(pixels, outputs, name="tiny")


def calibrate(path: Path) -> None:
    # Use Keras, because converting for OpenVINO would take ten seconds in each child.
    calibration.open_engine = lambda model, **_: engine.open_engine(model, "keras")
    images = np.random.default_rng(0).integers(0, 256, (4, 500, 500, 3)).astype(np.uint8)
    rows = [
        Row(path="", source="s", diagnosis="", malignant=i % 2, group="", split="val")
        for i in range(4)
    ]
    calibration.calibrate(tiny(), artifact.Card("tiny", views=8), path, images, rows)


def kill_at(step: int) -> None:
    """Make this process kill itself with SIGKILL when it reaches a step."""
    remaining = step
    seen = set()

    def count() -> None:
        nonlocal remaining
        remaining -= 1
        if not remaining:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_call(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        ours = code is artifact.save.__code__ or code.co_filename == calibration.__file__
        if event == "call" and ours and code not in seen:
            seen.add(code)
            count()

    sys.setprofile(on_call)
    sys.addaudithook(lambda event, _: count() if event == "os.rename" else None)


def state(path: Path) -> str:
    if path.read_bytes() == OLD:
        return "old"
    card = artifact.read_card(path)
    return "new" if card.calibrated else "not calibrated"


def main(path: Path) -> None:
    step = 0
    finished = False
    while not finished:
        path.write_bytes(OLD)
        step += 1
        child = os.fork()
        if not child:
            kill_at(step)
            calibrate(path)
            os._exit(0)
        finished = os.waitpid(child, 0)[1] == 0
        print(state(path), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
