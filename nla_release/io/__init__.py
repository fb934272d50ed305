"""Input and output: untrusted files in, atomic files out, and messages to the user.

Every other room reads and writes through it. Readers check size, kind and syntax and raise
`InputError`; documents become typed models. Messages go to one log, where secrets are masked.
"""
