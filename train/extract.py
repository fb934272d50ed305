"""`python -m train.extract RECIPE` from a checkout: `nla-release train extract RECIPE`."""

from train import script

if __name__ == "__main__":
    script("extract")
