"""The data manifold: two classifiers on the same data, one that draws frontiers and one that models where the data lives."""
