"""What the network has to keep to on the device."""


def test_outputs_are_those_of_the_reference(full):
    assert full.mismatches == 0


def test_zeros_cost_no_accuracy(full, sparse):
    assert sparse.accuracy >= full.accuracy - 0.05


def test_budgets(sparse):
    assert sparse.instructions < 170_000
    assert sparse.flash_bytes < 40_000
    assert sparse.arena_bytes < 8_000


def test_zeros_pay(full, sparse):
    assert sparse.macs_skipped > 0.7
    assert sparse.speedup_over(full) > 1.3


def test_where_the_zeros_are(sparse):
    conv = sparse.layer("conv2d_5")
    assert conv.activation_sparsity > 0.4
    assert conv.weight_sparsity > 0.79
    assert conv.macs_skipped > 0.7
