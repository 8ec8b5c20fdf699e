"""How much of the classes a linear classifier finds in a representation (Alain & Bengio 2017)."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from latentbench.core.errors import InputError

_TOLERANCE = 1e-3  # of the gradient's largest entry: a stricter one takes several times as long
_MAX_STEPS = 1000


def predictions(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Classify test points by a multinomial logistic regression fitted to train points, and return their labels (m,).

    Coordinates are standardised by the train points first; one that does not vary is only centred. Beside
    the sum of their cross-entropies stands half the squared norm of the coefficients: scikit-learn's default, chosen
    on no data and the same for every representation. Minimised by L-BFGS in float32.

    Args:
        train: (n, d) float32 or float64.
        labels: (n,) of the train points, of at least two classes.
        test: (m, d).

    Raises:
        InputError: all train points are of one class.

    Warns:
        ConvergenceWarning: 1,000 steps were not enough.
    """
    if len(np.unique(labels)) < 2:
        raise InputError("a linear probe needs train points of at least two classes")
    mean, deviation = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    deviation[deviation == 0.0] = 1.0
    standardised = [
        (points - mean.astype(np.float32)) / deviation.astype(np.float32)
        for points in (np.asarray(train, np.float32), np.asarray(test, np.float32))
    ]
    model = LogisticRegression(C=1.0, tol=_TOLERANCE, max_iter=_MAX_STEPS)
    model.fit(standardised[0], labels)
    found: np.ndarray = model.predict(standardised[1])
    return found
