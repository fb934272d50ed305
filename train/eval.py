"""`python -m train.eval RECIPE` from a checkout: `nla-release train eval RECIPE`."""

from train import script

if __name__ == "__main__":
    script("eval")
