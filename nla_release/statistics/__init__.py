"""Statistics over arrays, and the blocks of numbers that reports are built of.

Nothing here knows files, models or evidence: arrays and document names go in, numbers with their
intervals come out. Every interval treats the rows of one document as dependent.
"""
