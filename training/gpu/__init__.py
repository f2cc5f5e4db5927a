"""Training on one GPU with PyTorch: teachers, what they say of a bank of views, and the pupil."""
