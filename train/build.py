"""`python -m train.build RECIPE` from a checkout: `nla-release train build RECIPE`."""

from train import script

if __name__ == "__main__":
    script("build")
