"""Train and calibrate a network from a manifest, and write its model file."""
