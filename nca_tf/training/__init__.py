"""Training steps of V, M and sequence models, and the loop that runs them.

Import the module that you need, `from nca_tf.training import loop`: the package
itself imports nothing.
"""
