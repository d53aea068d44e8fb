"""Everything around a training step: run folders, progress, the loop.

Import the module that you need, `from nca_tf.training import run_folder`:
the package itself imports nothing, so that a wrong flag is answered before
TensorFlow is loaded.
"""
