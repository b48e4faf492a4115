"""
Train a classifier on scikit-learn's handwritten digits, and log how it goes.

Runs by itself, but is meant for

    cmfd run --pipeline digits --stage train -- python examples/digits/train.py

Everything it writes goes to ``--out``: the data set it read, and the model it made.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import joblib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import cmfd

N_PIXEL_VALUES = 16  # the images have 17 shades, 0 to 16


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train a classifier on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--lr", type=float, default=1e-3, help="initial learning rate of Adam")
    parser.add_argument("--seed", type=int, default=0, help="of the split and of the weights")
    parser.add_argument("--out", type=Path, default=Path("out"), help="directory for all files")
    return parser.parse_args()


def data_file(out: Path) -> Path:
    """Return the file of images and labels, written from scikit-learn's copy at first use."""
    path = out / "digits.npz"
    if not path.exists():
        images, labels = load_digits(return_X_y=True)
        np.savez_compressed(path, images=images, labels=labels)
    return path


def main() -> None:
    """Read the data, train for some epochs, save the model."""
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    cmfd.params(epochs=args.epochs, lr=args.lr, seed=args.seed, model="mlp", hidden=[64])

    data = np.load(cmfd.input(data_file(args.out), kind="dataset"))
    x_train, x_test, y_train, y_test = train_test_split(
        data["images"] / N_PIXEL_VALUES, data["labels"], test_size=0.25, random_state=args.seed
    )
    cmfd.params(n_train=len(x_train), n_test=len(x_test))

    model = MLPClassifier((64,), learning_rate_init=args.lr, random_state=args.seed)
    classes = np.unique(data["labels"])
    for epoch in range(args.epochs):
        model.partial_fit(x_train, y_train, classes=classes)
        scores = {
            "train.loss": model.loss_,
            "test.loss": log_loss(y_test, model.predict_proba(x_test)),
            "test.accuracy": accuracy_score(y_test, model.predict(x_test)),
        }
        cmfd.metrics(scores, step=epoch)
    print(f"accuracy on {len(x_test)} unseen digits: {scores['test.accuracy']:.3f}")

    path = args.out / "model.joblib"
    joblib.dump(model, path)
    cmfd.model(path, framework="scikit-learn")


if __name__ == "__main__":
    main()
