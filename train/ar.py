"""`python -m train.ar RECIPE` from a checkout: `nla-release train ar RECIPE`."""

from train import script

if __name__ == "__main__":
    script("ar")
