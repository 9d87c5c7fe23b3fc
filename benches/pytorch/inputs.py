"""Draws the inputs that both sides read: JPEGs and report pairs. `python inputs.py FOLDER`."""

import json
import random
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIDES = [(512, 512), (1024, 1024), (1536, 1280), (2048, 2048), (2544, 3056), (3000, 2500)]
PAIRS, WORDS = 3858, 4000


def radiograph(width, height, channels, rng):
    """Smooth shading with detector noise: about as compressible as a chest radiograph."""
    coarse = Image.fromarray(rng.integers(0, 255, (12, 12), dtype=np.uint8))
    shading = np.asarray(coarse.resize((width, height), Image.BICUBIC), dtype=np.float32)
    layers = [shading + rng.normal(0, 4, shading.shape) for _ in range(channels)]
    pixels = np.clip(np.stack(layers, -1), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels if channels == 3 else pixels[..., 0])


def report(draw, words, weights):
    sentences = [draw.choices(words, weights, k=draw.randint(3, 11)) for _ in range(draw.randint(3, 8))]
    return " . ".join(" ".join(sentence) for sentence in sentences) + " ."


def generated(draw, reference, words, weights):
    keep = lambda word: word if draw.random() < 0.7 else draw.choices(words, weights)[0]
    return " ".join(keep(word) for word in reference.split())


def main():
    folder = Path(sys.argv[1])
    rng, draw = np.random.default_rng(1), random.Random(1)
    for name, channels in (("gray", 1), ("rgb", 3)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index, (width, height) in enumerate(SIDES):
            image = radiograph(width, height, channels, rng)
            image.save(folder / name / f"{index}.jpg", quality=95)
    words = [f"w{index}" for index in range(WORDS)]
    weights = [1 / (rank + 3) for rank in range(WORDS)]
    references = [report(draw, words, weights) for _ in range(PAIRS)]
    pairs = [{"reference": text, "generated": generated(draw, text, words, weights)} for text in references]
    (folder / "pairs.json").write_text(json.dumps(pairs))


if __name__ == "__main__":
    main()
