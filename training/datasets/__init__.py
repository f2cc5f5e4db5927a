"""Turn published data sets into one manifest with leak-free splits."""
