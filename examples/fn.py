# SPDX-License-Identifier: Apache-2.0
# /// script
# requires-python = "==3.9.*"
# dependencies = ["scikit-learn==1.6.*"]
# ///
"""A function that needs scikit-learn: fit a model, say where it ran.

The block above says what it needs (PEP 723); req.yaml and pip.yaml do, too.
"""

import os
import sys

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression


def fit() -> float:
    """The accuracy of a small model on the data it was made from."""
    features, species = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(features, species)
    return float(model.score(features, species))


if __name__ == "__main__":
    print(f"accuracy: {fit():.2f}")
    print(f"resolution: {os.environ.get('AQ_RESOLUTION', 'none: not run by slurm-aq')}")
    print(sys.prefix)
