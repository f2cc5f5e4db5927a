"""From a manifest to a trained and calibrated model file."""
