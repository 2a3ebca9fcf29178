"""Whatever a file or a flag holds: a status from 0 to 3, one line, no traceback."""

from __future__ import annotations

import importlib
import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from footprints import detect, train_detector
from footprints.detector.detector_resume import TrainingState
from footprints.detector.onnx_detector import OnnxDetector
