"""The box in which programs run that a language model wrote; and the judge outside.

Outside of it, in the judge's process: `box` and `check` (what a judge uses), `machine` (which
sandboxes there are), `bubblewrap` and `confined` (how one is started), `runtime` and `packages`
(what is seen in it). Inside: `runner`, `births`, `watch`, `proof`, `namespaces` or `locked` (how a
check is isolated), `harness`. What runs inside imports the standard library and this package only,
and numpy where a harness needs it, so that a fork stays cheap.
"""
