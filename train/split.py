"""`python -m train.split RECIPE` from a checkout: `nla-release train split RECIPE`."""

from train import script

if __name__ == "__main__":
    script("split")
