"""Evaluate a model on the test split: figures, plots, tables and the model card."""
