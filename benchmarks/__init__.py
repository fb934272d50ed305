"""Measurements that tests must not make: they take long, and depend on the machine."""
