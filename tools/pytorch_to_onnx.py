#!/usr/bin/env python3
"""Makes an ONNX file of a PyTorch model, in a Python that has `torch` and `onnx`."""

import os
import runpy
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
# The model's own modules must not be mistaken for what lies beside this file.
sys.path[:] = [place for place in sys.path if os.path.realpath(place or ".") != HERE]
runpy.run_path(os.path.join(HERE, "common", "openvino", "pytorch_to_onnx.py"), run_name="__main__")
