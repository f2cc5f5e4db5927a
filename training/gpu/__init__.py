"""Train on one GPU with PyTorch: two teachers, a bank of their predictions, and cnn7."""
