"""The report stage: tables, figures, verdict and timings from the results of the others."""
