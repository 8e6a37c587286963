"""From sources to training sets and suites, streaming all the way."""
