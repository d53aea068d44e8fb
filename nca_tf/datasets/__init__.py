"""Data sets: recorded rollouts, their latents, and batches of frames.

Import the module that you need, `from nca_tf.datasets import rollouts`: some
of them load TensorFlow, and what plays games must not.
"""
