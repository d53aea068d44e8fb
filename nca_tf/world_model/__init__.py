"""V, M and C of a game, and the dream (Ha and Schmidhuber, World Models, 2018).

`world_model.WorldModel` is the finished object that others load; `imagination`
is how M runs by itself; `dream` makes an environment of it.
"""
