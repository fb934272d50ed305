"""A release on disk: its configuration, its folder, the manifests and the signature."""
