"""Explanations of a trained network: a model and images in, arrays out.

graph         the layers of any Keras model, nested ones included; NoAnswer, what a method says where it has none
blocks        what each part of a network does: layers with weights and what follows them
saliency      which pixels a prediction depends on, by six methods
checks        what tells a good saliency map from a bad one
feature_maps  what the layers make of an image
fields        receptive fields, by architecture and by measurement
maximize      activation maximization, and the real patches that excite a unit most
"""
