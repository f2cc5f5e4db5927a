"""Published data sets to one manifest with leak-free splits."""
