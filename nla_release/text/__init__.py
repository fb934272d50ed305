"""Text that is the same in every output: how numbers are written."""
