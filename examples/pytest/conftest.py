"""The model under test with every zero computed, and as edgesparse runs it at 80 % zeros.

Each runs once a session, however many tests ask for it.
"""

import pytest

from edgesparse import demo

# Put paths of your own here: a .tflite, and an .npz with rows x, labels y, expected outputs golden.
MODEL = demo.model_path()
ROWS = demo.data_path()


@pytest.fixture(scope="session")
def full(edgesparse_deploy):
    """Every product of the original is formed."""
    return edgesparse_deploy(
        MODEL, inputs=ROWS, encoding="dense", keep_dead=True, skip_activations="off"
    )


@pytest.fixture(scope="session")
def sparse(edgesparse_deploy):
    """Zeros of weights and activations are skipped."""
    return edgesparse_deploy(MODEL, inputs=ROWS, method="topk", sparsity=0.8)
