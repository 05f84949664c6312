"""The few layers that Keras lacks or computes slowly on a CPU; elsewhere they are Keras' own."""

import math

import keras
import tensorflow as tf
from keras import layers, ops

from fer_utils.machine import on_gpu

# The moving statistics follow within tens of steps; Keras' 0.99 would evaluate a short training with stale ones.
MOMENTUM = 0.9
RELU_GAIN = (2 / (1 - 1 / math.pi)) ** 0.5  # restores the variance that a ReLU takes from a unit Gaussian

register = keras.saving.register_keras_serializable("fer_utils")


@register
class PerImage(layers.Layer):
    """Standardise each image to mean 0 and standard deviation 1 by its own pixels."""

    def call(self, x):
        centred = x - ops.mean(x, (1, 2, 3), keepdims=True)
        return centred / (ops.std(x, (1, 2, 3), keepdims=True) + 1.0)  # + one grey level: a blank image stays 0


@register
class LogProbs(layers.Layer):
    """Logits of probabilities: their logarithm, which the softmax turns back into them."""

    def call(self, x):
        return ops.log(ops.maximum(x, 1e-7))


# -- convolutions ------------------------------------------------------------------------------------------------------


@register
class Conv2D(layers.Conv2D):
    """Keras' convolution, with a faster kernel gradient on small feature maps (see `convolve`)."""

    def convolution_op(self, inputs, kernel):
        if self.padding == "same" and self.strides == (1, 1) and self.dilation_rate == (1, 1) and self.groups == 1:
            return convolve(inputs, tf.cast(kernel, inputs.dtype))
        return super().convolution_op(inputs, kernel)


@register
class StandardisedConv2D(layers.Conv2D):
    """A convolution whose kernels are standardised in every step: signals keep their scale without batch norm.

    Batch norm reads and writes every feature map several times, on a CPU in float32. This touches the kernels alone, so
    that nearly all the time goes into matrix products in bfloat16.

    References:
        Brock, De & Smith (2021), Characterizing Signal Propagation to Close the Performance Gap in Unnormalized
        ResNets, arXiv:2101.08692.
    """

    save_own_variables = layers.Layer.save_own_variables  # those of Conv2D save kernel and bias alone
    load_own_variables = layers.Layer.load_own_variables

    def __init__(self, *args, **settings):
        super().__init__(*args, **({"autocast": False} | settings))

    def add_weight(self, *args, **settings):
        """The kernel's statistics need float32, whatever policy is in force when a model is loaded."""
        return super().add_weight(*args, **({"autocast": False} | settings))

    def build(self, shape):
        super().build(shape)
        self.gain = self.add_weight(shape=(self.filters,), initializer="ones", name="gain")

    def standardised(self):
        """Return the kernel that is applied, of the shape of the one that is learned, float32."""
        mean, variance = ops.moments(self.kernel, axes=(0, 1, 2), keepdims=True)
        fan_in = math.prod(self.kernel.shape[:3])
        scale = RELU_GAIN * self.gain * ops.rsqrt(variance * fan_in + 1e-4)
        return (self.kernel - mean) * scale

    def call(self, x):
        maps = convolve(x, ops.cast(self.standardised(), x.dtype))
        return self.activation(maps + ops.cast(ops.reshape(self.bias, (1, 1, 1, -1)), x.dtype))


def convolve(x, kernel):
    """Convolve with stride 1 and "same" padding.

    oneDNN's kernel gradient in bfloat16 is slow on small feature maps (2.3 times slower at 6×6, 4 times at 3×3:
    `python -m bench.operations`); there it is computed as a few plain matrix products.

    Args:
        x: (batch, height, width, channels). kernel: (rows, columns, channels, filters), of the same dtype.
    """
    small = x.shape[1] is not None and x.shape[1] <= 6
    if small and x.dtype == "bfloat16" and not on_gpu():
        return _convolve_small(x, kernel)
    return tf.nn.conv2d(x, kernel, 1, "SAME")


@tf.custom_gradient
def _convolve_small(x, kernel):
    def gradients(upstream):
        rows, columns, channels, filters = kernel.shape
        height, width = x.shape[1:3]
        above, left = (rows - 1) // 2, (columns - 1) // 2
        padded = tf.pad(x, [[0, 0], [above, rows - 1 - above], [left, columns - 1 - left], [0, 0]])
        flat = tf.reshape(upstream, [-1, filters])
        windows = [padded[:, i : i + height, j : j + width] for i in range(rows) for j in range(columns)]
        products = [tf.matmul(tf.reshape(window, [-1, channels]), flat, transpose_a=True) for window in windows]
        by_input = tf.nn.conv2d_transpose(upstream, kernel, tf.shape(x), 1, "SAME")
        return by_input, tf.reshape(tf.stack(products), kernel.shape)

    return tf.nn.conv2d(x, kernel, 1, "SAME"), gradients


# -- normalisation and residual branches -------------------------------------------------------------------------------


@register
class BatchNormalization(layers.BatchNormalization):
    """Keras' batch norm, computed while training by TensorFlow's fused operation: the same result, 3–6 times faster.

    Keras writes it as some twenty operations in float32, each of which reads all feature maps; on a CPU they took half
    of system E's time (`python -m bench.operations`). Keras' own stays where the fused operation would be the slower
    one (channels that do not fill the processor's vectors, such as A's 50 and 100) or another one (a frozen layer, or
    one without scale or centre).
    """

    def __init__(self, **settings):
        super().__init__(**({"momentum": MOMENTUM} | settings))

    def call(self, x, training=None, mask=None):
        maps = len(x.shape) == 4 and self.axis in (-1, 3) and x.shape[-1] % 16 == 0
        if not (training and self.trainable and maps and self.scale and self.center and mask is None):
            return super().call(x, training=training, mask=mask)
        gamma, beta, none = tf.cast(self.gamma, tf.float32), tf.cast(self.beta, tf.float32), tf.zeros([0])
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=gamma, offset=beta, mean=none, variance=none, epsilon=self.epsilon, is_training=True
        )
        count = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
        variance *= (count - 1) / count  # the operation divides by n − 1, Keras by n
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + new * (1 - self.momentum))
        return y


@register
class SkipInit(layers.Layer):
    """A learned factor on a residual branch, small at first: the network starts as a shallow one.

    References:
        De & Smith (2020), Batch Normalization Biases Residual Blocks Towards the Identity Function, arXiv:2002.10444.
    """

    def build(self, shape):
        self.factor = self.add_weight(shape=(), initializer=keras.initializers.Constant(0.2), name="factor")

    def call(self, x):
        return x * self.factor
