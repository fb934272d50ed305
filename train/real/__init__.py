"""A pair on a real language model of 135 million parameters, from packages of the package index."""
