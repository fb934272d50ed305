"""`python -m train.av RECIPE` from a checkout: `nla-release train av RECIPE`."""

from train import script

if __name__ == "__main__":
    script("av")
