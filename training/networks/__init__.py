"""The networks: the paper's three, ours of seven convolutions, and the teacher."""

from training.networks.cnn import cnn7, cnn_v1, cnn_v2, cnn_v3, efficientnet_lite0

__all__ = ["cnn7", "cnn_v1", "cnn_v2", "cnn_v3", "efficientnet_lite0"]
