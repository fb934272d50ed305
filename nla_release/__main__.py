"""`python -m nla_release` is `nla-release`."""

from nla_release.cli import main

main()
