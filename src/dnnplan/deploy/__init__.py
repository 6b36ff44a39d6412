"""Acting on a plan: split models into parts, export placements, run the parts, calibrate the platform.

Names are imported from the modules: `segments`, `manifest`, `split`, `export`, `retraining`, `run`, `calibrate`.
Nothing here imports `onnx` or `onnxruntime` before a function that needs it is called.
"""
