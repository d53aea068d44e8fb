"""Games of memory in the graph; processes that play do not import them."""
