"""What tests and demonstrations need: synthetic data with exact ground truth.

May import every package below ``tools`` and ``projects``. Start reading at
``synth_rooms``.
"""
