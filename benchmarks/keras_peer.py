"""The reference report's networks as a Keras user would train them; benchmarks/training.py runs this as its peer.

It runs in a separate virtual environment with only Keras, TensorFlow and NumPy, and prints one line of JSON.
"""

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

LATENT_DIM = 64


class Sampling(layers.Layer):
    """Draw a latent from the posterior, and add the KL divergence from the prior to the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, inputs: tuple) -> tf.Tensor:
        """Map the mean and log variance, (n, LATENT_DIM) each, to latents of the same shape."""
        mean, log_var = inputs
        kl = 0.5 * ops.sum(ops.square(mean) + ops.exp(log_var) - 1.0 - log_var, axis=-1)
        self.add_loss(ops.mean(kl))
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_var) * noise


def nats(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Binary cross-entropy per image, summed over its pixels."""
    pixelwise = ops.binary_crossentropy(images, logits, from_logits=True)
    return ops.sum(pixelwise, axis=tuple(range(1, len(pixelwise.shape))))


def dense_ae() -> keras.Model:
    """Build the dense autoencoder."""

    def hidden(units: int) -> list[layers.Layer]:
        # torch's defaults; Keras's own defaults cost the same and train slightly differently.
        return [layers.Dense(units), layers.BatchNormalization(momentum=0.9, epsilon=1e-5), layers.ReLU()]

    return keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            *hidden(392),
            *hidden(196),
            *hidden(98),
            layers.Dense(LATENT_DIM),
            *hidden(98),
            *hidden(196),
            *hidden(392),
            layers.Dense(784, activation="sigmoid"),
            layers.Reshape((28, 28)),
        ]
    )


def conv_ae() -> keras.Model:
    """Build the convolutional autoencoder."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(LATENT_DIM),
            layers.Dense(392, activation="relu"),
            layers.Reshape((7, 7, 8)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.UpSampling2D(2),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.UpSampling2D(2),
            layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
        ]
    )


def dense_vae() -> keras.Model:
    """Build the dense VAE, from images to logits."""
    images = keras.Input((28, 28))
    hidden = layers.Flatten()(images)
    for units in (392, 196, 98):
        hidden = layers.Dense(units, activation="relu")(hidden)
    hidden = Sampling()((layers.Dense(LATENT_DIM)(hidden), layers.Dense(LATENT_DIM)(hidden)))
    for units in (98, 196, 392):
        hidden = layers.Dense(units, activation="relu")(hidden)
    return keras.Model(images, layers.Reshape((28, 28))(layers.Dense(784)(hidden)))


def conv_vae() -> keras.Model:
    """Build the convolutional VAE, from images to logits."""
    images = keras.Input((28, 28, 1))
    hidden = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(images)
    hidden = layers.Conv2D(64, 3, strides=2, padding="same", activation="relu")(hidden)
    hidden = layers.Dense(256, activation="relu")(layers.Flatten()(hidden))
    hidden = Sampling()((layers.Dense(LATENT_DIM)(hidden), layers.Dense(LATENT_DIM)(hidden)))
    hidden = layers.Reshape((7, 7, 64))(layers.Dense(3136, activation="relu")(hidden))
    hidden = layers.Conv2DTranspose(64, 3, strides=2, padding="same", activation="relu")(hidden)
    hidden = layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu")(hidden)
    return keras.Model(images, layers.Conv2DTranspose(1, 3, padding="same")(hidden))


class Clock(keras.callbacks.Callback):
    """Record when each epoch starts; an epoch includes its validation."""

    def __init__(self) -> None:
        super().__init__()
        self.moments = []

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:  # noqa: ARG002
        """Record the start."""
        self.moments.append(time.perf_counter())

    def on_train_end(self, logs: dict | None = None) -> None:  # noqa: ARG002
        """Record the end of the last one."""
        self.moments.append(time.perf_counter())


# The builder of each, its loss, and whether XLA makes it faster on a CPU, where Keras does not use it by default.
MODELS = {
    "dense_ae": (dense_ae, "mean_squared_error", True),
    "conv_ae": (conv_ae, "mean_squared_error", False),
    "dense_vae": (dense_vae, nats, True),
    "conv_vae": (conv_vae, nats, False),
}


def main() -> None:
    """Train one model and print how long its epochs took and its final losses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("images", type=Path, help="folder of train.npy and validation.npy, (n, 1, 28, 28) uint8 each")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--warm-up", type=int, required=True, help="images to train on before timing starts")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--tuned", action="store_true", help="XLA where it helps, and 16 steps per call")
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    keras.utils.set_random_seed(0)

    build, loss, xla_helps = MODELS[options.model]
    model = build()
    train, validation = (
        np.load(options.images / f"{part}.npy")[:, 0]  # noqa: TID251 - the project is not installed here
        .astype(np.float32)
        .reshape(-1, *model.input_shape[1:])
        / 255
        for part in ("train", "validation")
    )
    tuning = {"jit_compile": xla_helps, "steps_per_execution": 16} if options.tuned else {}
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, **tuning)

    def fit(images: np.ndarray, epochs: int, callbacks: list[keras.callbacks.Callback]) -> keras.callbacks.History:
        return model.fit(
            images,
            images,
            batch_size=options.batch_size,
            epochs=epochs,
            validation_data=(validation, validation),
            validation_batch_size=1000,
            callbacks=callbacks,
            verbose=0,
        )

    fit(train[: options.warm_up], 1, [])
    clock = Clock()
    history = fit(train, options.epochs, [clock]).history
    result = {
        "parameters": sum(int(np.prod(weight.shape)) for weight in model.trainable_weights),
        "seconds": [end - start for start, end in pairwise(clock.moments)],
        "train_loss": history["loss"][-1],
        "validation_loss": history["val_loss"][-1],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
