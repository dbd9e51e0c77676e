"""Search: how far each layer can be thinned within a budget of accuracy.

::

    space.py     the layers that can be thinned, and assignments of a rule to each of them
    trial.py     one assignment measured: the function that every worker runs
    store.py     trials as lines of a file, so that a search goes on where it was stopped
    runners.py   where trials run: here, in processes, on a Dask cluster (cluster.py)
    strategy.py  what a search is: a generator of batches of trials
    grid.py      TensorQuant's grid search
    bases.py     one method for all layers at the highest value that keeps the accuracy
    fine.py      fine-tuning around a base
    allocate.py  sensitivity-guided allocation
    compensated.py  the same, where the weights that stay make up for those that go
    thresholds.py  activation thresholds, behind any of these
    engine.py    runs a strategy: asks the store, else the runner; progress
    measure.py   what dense and tuned model cost on a board
    command.py   `edgesparse tune`
    report.py    its tables
"""
