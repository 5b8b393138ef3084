"""Flower app that drives the executable fedclamp: HDF5 checkpoints travel whole, data stay where they are."""
