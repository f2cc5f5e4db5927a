"""Makes the .h5 that the app serves; imports lens, never app."""

import os

# TensorFlow leaves oneDNN's kernels off on processors without AVX-512's dot products. With them on
# two AVX2 cores a step of cnn7 is 1.34 times as fast at 500 px (26.4 images/s against 35.4) and one
# of efficientnet_lite0 1.55 times (15.6 against 24.2).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
