"""`python -m train.label RECIPE` from a checkout: `nla-release train label RECIPE`."""

from train import script

if __name__ == "__main__":
    script("label")
