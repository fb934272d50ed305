"""Formulas over arrays, and the blocks of numbers that reports are built of."""
