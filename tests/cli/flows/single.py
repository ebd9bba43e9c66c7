"""A module with one graph."""

import podium

graph = podium.Graph("single").add("only", uses="noop", with_={"text": "hello"})
