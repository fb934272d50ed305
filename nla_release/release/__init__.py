"""A release on disk: release.yaml, its folder, the manifest of a repository, its signature.

It reads what the author wrote and says where everything else is. `release.json` ties the two
repositories of a release together by a common id.
"""
