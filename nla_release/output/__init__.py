"""Renderings of a verdict, a plan and a rule's page, in every format that `--format` offers.

Each is a pure function from a typed object to text. The command line prints the text; nothing here
reads files or decides anything.
"""
