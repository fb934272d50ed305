"""Sidecar formats of other projects: each known one is recognised, and read or refused by name.

Two adapter folders go in. What their files say of the pair is collected, the rest is inferred or
asked for, and a release folder with canonical sidecars comes out. No original file is changed.
"""

from nla_release.dialects.table import Context, SidecarFormat, recognise

__all__ = ["Context", "SidecarFormat", "recognise"]
