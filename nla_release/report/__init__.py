"""The report: one HTML file with a verdict, the numbers behind it, and the rows behind those.

Input is what the gate read, and its verdict; output is the text of one page. The file is the same
for the same input, needs no network and no script, and runs no third-party code.
"""
