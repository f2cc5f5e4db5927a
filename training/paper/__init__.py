"""Repeat the paper's experiment, and report its results beside the published figures."""
