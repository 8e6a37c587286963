"""Resources: what jobs need of a machine, and how a cluster is asked for it."""
