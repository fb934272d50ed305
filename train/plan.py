"""`python -m train.plan RECIPE` from a checkout: `nla-release train plan RECIPE`."""

from train import script

if __name__ == "__main__":
    script("plan")
