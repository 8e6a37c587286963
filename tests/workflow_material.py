"""Another name of `fixtures.workspace`."""

from fixtures.workspace import ROOT, Workspace, jobs, shrink

__all__ = ["ROOT", "Workspace", "jobs", "shrink"]
