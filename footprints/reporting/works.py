"""Whose work a model rests on: what to cite, and under which terms it may be used."""

from __future__ import annotations

PROGRAM = (
    "Bergler, C. et al.: ANIMAL-SPOT enables animal-independent signal detection and "
    "classification using deep learning. Scientific Reports 12, 21966 (2022). "
    "https://doi.org/10.1038/s41598-022-26429-y (the program that this one goes back to)"
)
_EFFICIENTNET = (
    "Tan, M. and Le, Q.: EfficientNet: Rethinking model scaling for convolutional neural networks. "
    "ICML 2019, 6105-6114."
)
BACKBONES = {
    "MobileNetV3Small": "Howard, A. et al.: Searching for MobileNetV3. ICCV 2019, 1314-1324.",
    "MobileNetV2": "Sandler, M. et al.: MobileNetV2: Inverted residuals and linear bottlenecks. "
    "CVPR 2018, 4510-4520.",
    "EfficientNetB0": _EFFICIENTNET,
    "EfficientNetLite0": _EFFICIENTNET,
    "EfficientNetLite1": _EFFICIENTNET,
    "EfficientNetLite2": _EFFICIENTNET,
}
IMAGENET = (
    "Russakovsky, O. et al.: ImageNet large scale visual recognition challenge. "
    "International Journal of Computer Vision 115, 211-252 (2015)."
)
OPEN_ANIMAL_TRACKS = (
    "Shinoda, R. and Shiohara, K.: OpenAnimalTracks: A dataset for animal track recognition. "
    "ICIP 2024. arXiv:2406.09647"
)
YOLO = "Jocher, G. et al.: Ultralytics YOLO. https://github.com/ultralytics/ultralytics"
DISTILLATION = (
    "Hinton, G., Vinyals, O. and Dean, J.: Distilling the knowledge in a neural network. 2015. "
    "arXiv:1503.02531"
)
TEMPERATURE = "Guo, C. et al.: On calibration of modern neural networks. ICML 2017, 1321-1330."
WILSON = (
    "Wilson, E. B.: Probable inference, the law of succession, and statistical inference. "
    "Journal of the American Statistical Association 22, 209-212 (1927)."
)

LICENCE_PROGRAM = "This program, and what it writes into the model file: GPL-3.0."
LICENCE_IMAGENET = (
    "ImageNet weights, where the training starts from them: handed out with Keras, or with "
    "EfficientNet-Lite (Apache-2.0); the pictures of ImageNet are for research and teaching that "
    "are not commercial."
)
LICENCE_TRACKS = (
    "OpenAnimalTracks, where stage oat is part of the training: see the terms of its authors, "
    "https://github.com/dahlian00/OpenAnimalTracks."
)
LICENCE_YOLO = (
    "Detectors are trained with Ultralytics YOLO (AGPL-3.0); Ultralytics holds that networks "
    "trained with it are under the AGPL-3.0 too, and sells other licences."
)
LICENCE_PHOTOS = "Your own photos: whoever took them decides; ask before you pass a model on."


def numbered(works: list[str]) -> str:
    """Return works as a list, each on a line of its own."""
    return "\n".join(f"[{number}] {work}" for number, work in enumerate(works, 1))
