"""Everything around a run: its folder, stages, records, progress, report.

Import the module that you need, `from nca_tf.runs import run_folder`: some of
them load TensorFlow, which a wrong flag should not wait for.
"""
