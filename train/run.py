"""`python -m train.run RECIPE` from a checkout: `nla-release train run RECIPE`."""

from train import script

if __name__ == "__main__":
    script("run")
