"""mixmerge: data mix or model merge? One DAG of files that answers it for small code models."""
