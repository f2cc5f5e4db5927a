"""Run a complete training on a GPU: teachers, bank of views, student, and the model files."""

import dataclasses
import datetime
import pkgutil
import platform
import time
from importlib.metadata import version

import numpy as np
import torch

from lens import artifact
from lens.card import Card
from lens.images import decoder
from training import gpu
from training.datasets.manifest import read_manifest, split_hashes
from training.fit.new_card import count_images
from training.fit.record import code_digest, rows_digest
from training.fit.splits import Splits, read_splits
from training.gpu.bank import Bank, fill_bank
from training.gpu.fitter import to_device
from training.gpu.keras_weights import export_cnn7, export_efficientnet
from training.gpu.networks import Cnn7, EfficientNetLite
from training.gpu.options import GpuOptions
from training.gpu.phases import Phases, State
from training.gpu.photos import choose_device, open_photos
from training.gpu.recipe import RECIPES
from training.gpu.student import train_student
from training.gpu.teacher import train_teacher
from training.gpu.validation import describe_auc, mean_logits

_STATISTICS_PHOTOS = (
    64  # Photos, of all sources, for the statistics of the Keras network's batch normalisations.
)


class GpuRun:
    """One run. Its folder contains finished phases, so that the same command can continue it."""

    def __init__(self, options: GpuOptions) -> None:
        """Open the photos.

        Raises:
            UsageError: the folder belongs to another run.
            ManifestError: the manifest, or a photo that it lists, cannot be used.
            DiskFull: there is not enough disk space for the decoded photos.
        """
        self.options = options
        self.recipe = RECIPES[options.recipe]
        self.began = time.perf_counter()
        self.rows = read_manifest(options.manifest)
        splits = read_splits(options.manifest)
        self.phases = Phases(options.out, describe(options, splits))
        self.device = choose_device()
        _prepare_torch()
        cache = options.manifest.parent / "cache"
        self.data, self.validation = open_photos(
            splits, cache, self.recipe, options.seed, self.device
        )
        print(f"{len(self.data.lesions):,} lesions for training, on {_name(self.device)}")

    def train(self) -> None:
        """Run the phases that are not finished, and write both model files."""
        teachers = [self._teacher(index) for index in range(len(self.recipe.teachers))]
        self._report_teachers(teachers)
        student = self._student(teachers)
        lesions = self.data.lesions.pixels
        chosen = torch.linspace(0, len(lesions) - 1, _STATISTICS_PHOTOS).long().to(lesions.device)
        photos = lesions[chosen].permute(0, 2, 3, 1).cpu().numpy()
        self._write("efficientnet_lite0", export_efficientnet(teachers[0]))
        self._write("cnn7", export_cnn7(student, photos))
        minutes = (time.perf_counter() - self.began) / 60
        print(f"{minutes:.1f} minutes in all. The models are not calibrated yet. Next:")
        for name in ("cnn7", "efficientnet_lite0"):
            file = self.options.out / name
            print(
                f"  python -m training.recalibrate {file}.h5 --out {file}_calibrated.h5 "
                f"--manifest {self.options.manifest}"
            )

    def _teacher(self, index: int) -> EfficientNetLite:
        teacher = self.recipe.teachers[index]
        name = f"efficientnet_lite{teacher.version}"
        seed = self.options.seed + index
        seconds = self._seconds(teacher.time_share)
        state = self.phases.state(
            name,
            lambda: train_teacher(teacher, self.recipe, self.data, seconds, seed).state_dict(),
        )
        network = EfficientNetLite(teacher.version)
        network.load_state_dict(state)
        return to_device(network, self.device).eval()

    def _student(self, teachers: list[EfficientNetLite]) -> Cnn7:
        state = self.phases.state("cnn7", lambda: self._train_student(teachers))
        network = Cnn7(state["taught.weight"].shape[0])
        network.load_state_dict(state)
        network = to_device(network, self.device).eval()
        print(describe_auc("cnn7", mean_logits(network, self.validation), self.validation))
        return network

    def _train_student(self, teachers: list[EfficientNetLite]) -> State:
        seed = self.options.seed
        bank_seconds = self._seconds(self.recipe.bank.time_share)
        # A CPU and a GPU draw different views, so a bank is only valid for one kind of device.
        state = self.phases.state(
            f"bank_{self.device.type}",
            lambda: vars(fill_bank(teachers, self.recipe, self.data, bank_seconds, seed)),
        )
        bank = Bank(**{name: tensor.to(self.device) for name, tensor in state.items()})
        seconds = self._seconds(self.recipe.student.time_share)
        return train_student(self.recipe, bank, self.data, seconds, seed).state_dict()

    def _report_teachers(self, teachers: list[EfficientNetLite]) -> None:
        logits = [mean_logits(teacher, self.validation, views=2) for teacher in teachers]
        for teacher, own in zip(self.recipe.teachers, logits, strict=True):
            name = f"EfficientNet-Lite{teacher.version}"
            print(describe_auc(name, own, self.validation))
        print(describe_auc("mean of teachers", np.mean(logits, 0), self.validation))

    def _seconds(self, share: float) -> float:
        return share * self.options.minutes * 60

    def _write(self, name: str, model: object) -> None:
        artifact.save(model, self.options.out / f"{name}.h5", self._card(name))

    def _card(self, name: str) -> Card:
        packages = ("keras", "torch", "numpy", "pillow")
        return Card(
            name=name,
            views=8,
            training_data={
                "images_and_malignant": count_images(self.rows),
                "recipe": f"train_gpu {self.options.recipe}",
                "changed": {},
            },
            split_hashes=split_hashes(self.rows),
            versions={"python": platform.python_version()}
            | {package: version(package) for package in packages},
            command=self.options.command,
            created=datetime.date.today().isoformat(),
        )


def describe(options: GpuOptions, splits: Splits) -> dict[str, object]:
    """Everything that determines the results of the phases, by name, as JSON values.

    Raises:
        ManifestError: an image is missing.
    """
    modules = [f"training.gpu.{module.name}" for module in pkgutil.iter_modules(gpu.__path__)]
    return {
        "recipe": dataclasses.asdict(RECIPES[options.recipe]),
        "minutes": options.minutes,
        "seed": options.seed,
        "code": code_digest([*modules, "training.fit.sampling"]),
        "decoder of images": decoder(),
        "set of training images": rows_digest(splits.train),
        "set of validation images": rows_digest(splits.val),
        "set of images of other things": rows_digest(splits.others),
    }


def _prepare_torch() -> None:
    # Not for matrix products: the positions in the views need all digits of float32.
    torch.backends.cudnn.allow_tf32 = True
    # With benchmarking of kernels the first step of an EfficientNet takes minutes instead of 8 s.
    torch.backends.cudnn.benchmark = False


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name() if device.type == "cuda" else "the CPU"
