"""Sidecar formats of other projects: each known one is recognised, and read or refused by name.

The input is two adapter folders. Facts of the pair are read from their files, inferred, or asked
for. The output is a release folder with canonical sidecars. No original file is changed.
"""

from nla_release.sidecar_formats.table import Context, SidecarFormat, recognise

__all__ = ["Context", "SidecarFormat", "recognise"]
