"""From downloaded files to a device: programs that convert and quantize models with OpenVINO.

`mo.py` and `pot.py` are run by path, in a Python that has OpenVINO but maybe nothing of this project:
they and the folders `conversion` and `quantization` import nothing from elsewhere in the package.
Inside this folder `import openvino` means Intel's package.
"""
