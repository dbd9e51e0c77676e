"""Runs -> one document for JSON, and a table for people.

One idea a file::

    sums.py       what a layer did, over all runs
    summary.py    the document
    table.py      the document as a table
    live.py       the table while runs come in
"""
