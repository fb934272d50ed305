"""`--version` and `--successor`: every verb checks the form before anything else."""

import click

from nla_release.release.folder import check_version


class _Version(click.ParamType[str]):
    name = "version"

    def convert(
        self,
        value: str,
        param: click.Parameter | None,  # noqa: ARG002 - click's signature
        ctx: click.Context | None,  # noqa: ARG002
    ) -> str:
        return check_version(value)


# Gives the version as written, or raises the ConfigError that names the right form.
VERSION = _Version()
