"""Explanations of a trained network: a model and images in, arrays out.

saliency      which pixels a prediction depends on, by six methods, and the checks that tell a good map from a bad one
maximize      activation maximization, receptive fields, the real patches that excite a unit most
"""
