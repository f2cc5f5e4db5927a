"""The networks in PyTorch, layer for layer as ``training.networks`` has them in Keras.

Here, where training is fast on a GPU, every convolution of cnn7 has batch normalisation before its
ReLU; ``keras_weights`` folds it into the convolution. Weights lie channels last on a GPU: three
times as fast in bfloat16 (EfficientNet-Lite0, 320 px: 3,037 images/s against 1,061 on an H200).
"""

import re
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from training.fit.batches import DIAGNOSES
from training.networks.efficientnet import EMBEDDING, SIDE, imagenet_weights, stages

CNN7_WIDTHS = (32, 64, 128, 128, 256, 256, 768)

EPSILON = 1e-3
"""Of every batch normalisation; Keras's too."""

_HEAD_DROPOUT = 0.3


class Outputs(NamedTuple):
    """Logits of malignant, lesion and clinical (n,), of the diagnosis (n, 8); embedding (n, c)."""

    malignant: torch.Tensor
    lesion: torch.Tensor
    clinical: torch.Tensor
    diagnosis: torch.Tensor
    embedding: torch.Tensor


class _Convolution(nn.Conv2d):
    """A convolution with Keras's ``same`` padding, and no bias: a normalisation follows."""

    def __init__(
        self, channels: int, filters: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(channels, filters, kernel, stride, groups=groups, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        padding = []
        for side in (x.shape[3], x.shape[2]):
            missing = max(0, (-(-side // stride) - 1) * stride + kernel - side)
            padding += [missing // 2, missing - missing // 2]
        if len(set(padding)) == 1:  # Padding in the convolution itself costs no copy.
            return functional.conv2d(
                x, self.weight, None, self.stride, padding[0], groups=self.groups
            )
        x = functional.pad(x, padding)
        return functional.conv2d(x, self.weight, None, self.stride, groups=self.groups)


class _Heads(nn.Module):
    """``training.networks.cnn.add_outputs``, and a head for the diagnosis."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.drop = nn.Dropout2d(_HEAD_DROPOUT)
        self.dermoscopic_map = nn.Linear(channels, 1)
        self.clinical_map = nn.Linear(channels, 1)
        self.lesion = nn.Linear(channels, 1)
        self.kind = nn.Linear(channels, 1)
        self.diagnosis = nn.Linear(channels, len(DIAGNOSES))

    def forward(self, x: torch.Tensor) -> Outputs:
        x = x.float()
        embedding = x.mean((2, 3))
        kept = self.drop(x).mean((2, 3))
        clinical = self.kind(embedding)
        # Whether a lesion is malignant teaches nothing about the kind of photo.
        share = torch.sigmoid(clinical).detach()
        malignant = self.dermoscopic_map(kept) * (1 - share) + self.clinical_map(kept) * share
        return Outputs(
            malignant[:, 0],
            self.lesion(embedding)[:, 0],
            clinical[:, 0],
            self.diagnosis(embedding),
            embedding,
        )


class _Block(nn.Module):
    """An inverted residual: widen, filter each channel, narrow; joined where the shape stays."""

    def __init__(
        self, channels: int, kernel: int, stride: int, expansion: int, filters: int, drop: float
    ) -> None:
        super().__init__()
        wide = channels * expansion
        self.expand_conv = _Convolution(channels, wide, 1) if expansion > 1 else None
        self.bn0 = _norm(wide) if expansion > 1 else None
        self.depthwise_conv = _Convolution(wide, wide, kernel, stride, groups=wide)
        self.bn1 = _norm(wide)
        self.project_conv = _Convolution(wide, filters, 1)
        self.bn2 = _norm(filters)
        self.joined = stride == 1 and channels == filters
        self.drop = drop

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        if self.expand_conv is not None and self.bn0 is not None:
            y = functional.relu6(self.bn0(self.expand_conv(y)))
        y = functional.relu6(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        if not self.joined:
            return y
        if self.training and self.drop:
            kept = torch.rand(len(y), 1, 1, 1, device=y.device) > self.drop
            y = y * (kept.to(y.dtype) / (1 - self.drop))
        return x + y


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite0 or -Lite2 with the heads of cnn7; layers are named as in Keras."""

    def __init__(self, version: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.conv_stem = _Convolution(3, 32, 3, 2)
        self.bn0 = _norm(32)
        plan = stages(version)
        total = sum(repeats for repeats, *_ in plan)
        self.blocks = nn.ModuleList()
        channels = 32
        for repeats, kernel, stride, expansion, filters in plan:
            for repeat in range(repeats):
                first = stride if repeat == 0 else 1
                drop = drop_path * len(self.blocks) / total
                self.blocks.append(_Block(channels, kernel, first, expansion, filters, drop))
                channels = filters
        self.conv_head = _Convolution(channels, EMBEDDING, 1)
        self.bn1 = _norm(EMBEDDING)
        self.heads = _Heads(EMBEDDING)

    def forward(self, pixels: torch.Tensor) -> Outputs:
        """Judge pixels 0-255 (n, 3, side, side)."""
        x = pixels
        if x.shape[-1] != SIDE:
            size = (SIDE, SIDE)
            x = functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
        x = _as_weights_lie(x / 128 - 127 / 128, next(self.parameters()))
        x = functional.relu6(self.bn0(self.conv_stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.heads(functional.relu6(self.bn1(self.conv_head(x))))


def with_imagenet_weights(version: int, drop_path: float) -> EfficientNetLite:
    """A teacher as its training begins.

    Raises:
        training.networks.efficientnet.MissingWeights: the package with the weights is missing.
    """
    network = EfficientNetLite(version, drop_path)
    weights = {
        re.sub(r"^blocks_(\d+)_", r"blocks.\1.", name): torch.tensor(array)
        for name, array in imagenet_weights(version).items()
        if not name.startswith("fc.")
    }
    missing, unknown = network.load_state_dict(weights, strict=False)
    assert not unknown and all(name.startswith("heads.") or "num_" in name for name in missing)
    return network


class _Normalised(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, channels: int, filters: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = _Convolution(channels, filters, kernel, stride)
        self.bn = _norm(filters, momentum=0.02)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.bn(self.conv(x)))


class _Excite(nn.Module):
    """Squeeze and excitation (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow = nn.Linear(channels, channels // 4)
        self.wide = nn.Linear(channels // 4, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = torch.sigmoid(self.wide(functional.relu(self.narrow(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class Cnn7(nn.Module):
    """cnn7, and a layer that turns its embedding into the teacher's, used in training alone."""

    def __init__(self, taught: int) -> None:
        """Build it with random weights; ``taught`` is the length of what a teacher embeds."""
        super().__init__()
        channels = (3, *CNN7_WIDTHS)
        self.convolutions = nn.ModuleList(
            _Normalised(before, after, *((5, 2) if place == 0 else (3, 1)))
            for place, (before, after) in enumerate(zip(channels, CNN7_WIDTHS, strict=False))
        )
        self.excitations = nn.ModuleList([_Excite(CNN7_WIDTHS[3]), _Excite(CNN7_WIDTHS[5])])
        self.heads = _Heads(CNN7_WIDTHS[-1])
        self.taught = nn.Linear(CNN7_WIDTHS[-1], taught)

    def forward(self, pixels: torch.Tensor) -> Outputs:
        """Judge pixels 0-255 (n, 3, side, side)."""
        c, excite = self.convolutions, self.excitations
        weight = next(self.convolutions.parameters())
        x = _as_weights_lie(functional.avg_pool2d(pixels / 127.5 - 1, 2), weight)
        x = functional.max_pool2d(c[0](x), 2)
        x = functional.max_pool2d(c[1](x), 2)
        x = excite[0](functional.max_pool2d(c[3](c[2](x)), 2))
        x = c[4](x)
        x = excite[1](functional.max_pool2d(x + c[5](x), 2))
        return self.heads(c[6](x))


def _norm(channels: int, momentum: float = 0.01) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, EPSILON, momentum)


def _as_weights_lie(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    last = weight.is_contiguous(memory_format=torch.channels_last)
    return x.contiguous(memory_format=torch.channels_last) if last else x
