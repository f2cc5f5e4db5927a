"""How good a model is: figures, plots, tables, the model card."""
