"""Train and evaluate the model that the app serves."""

# lens switches HDF5's file locks off, which must happen before anything else loads HDF5.
import lens as lens
