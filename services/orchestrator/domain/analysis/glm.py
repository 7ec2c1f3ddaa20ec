"""Logit GLM on grouped replies: Newton's method, average marginal effects, classical and clustered standard errors.

The design has few distinct rows (task x context x belief x arm), so the fit works on counts. A continuous covariate makes
every reply its own row; the code is the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]

_MOST_STEPS = 60
_TOLERANCE = 1e-13
# A linear predictor this far out is on its way to infinity: the group has no errors, or only errors.
_SEPARATED = 20.0


class NoFitError(ValueError):
    """The model has no fit; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A fitted model.

    Attributes:
        design: X, shape (rows, p).
        replies: Replies of each row, shape (rows,).
        coefficients: Shape (p,).
        predicted: P(y = 1) of each row, shape (rows,).
        covariance: Inverse information, shape (p, p).
        separated: A group has no errors or only errors; the effects exist, their standard errors do not.
    """

    design: Floats
    replies: Floats
    coefficients: Floats
    predicted: Floats
    covariance: Floats
    separated: bool


def fit(design: Floats, replies: Floats, errors: Floats) -> Fit:
    """Maximum likelihood by Newton's method with halved steps where the likelihood falls.

    Args:
        design: X, shape (rows, p), of full column rank.
        replies: Replies of each row, shape (rows,).
        errors: Errors among them, shape (rows,).

    Raises:
        NoFitError: No replies, only one outcome, or a design without full rank.
    """
    total, bad = float(replies.sum()), float(errors.sum())
    if total <= 0.0:
        raise NoFitError("no graded replies")
    if bad <= 0.0 or bad >= total:
        raise NoFitError("no errors at all" if bad <= 0.0 else "nothing but errors")
    beta = np.zeros(design.shape[1])
    eta = np.zeros(design.shape[0])
    likelihood = _likelihood(eta, replies, errors)
    for _ in range(_MOST_STEPS):
        p = expit(eta)
        step = _solve(_information(design, replies * p * (1.0 - p)), design.T @ (errors - replies * p))
        scale, best = 1.0, -math.inf
        while scale > 1e-8:
            moved = design @ (beta + scale * step)
            best = _likelihood(moved, replies, errors)
            if best >= likelihood - 1e-12 * abs(likelihood):
                break
            scale /= 2.0
        beta, eta = beta + scale * step, moved
        done = best - likelihood <= _TOLERANCE * abs(best)
        likelihood = best
        if done:
            break
    p = expit(eta)
    information = _information(design, replies * p * (1.0 - p))
    identity = np.eye(design.shape[1])
    return Fit(
        design=design,
        replies=replies,
        coefficients=beta,
        predicted=p,
        covariance=_solve(information, identity),
        separated=bool(np.abs(eta[replies > 0]).max() > _SEPARATED),
    )


def _likelihood(eta: Floats, replies: Floats, errors: Floats) -> float:
    return float(errors @ eta - replies @ np.logaddexp(0.0, eta))


def _information(design: Floats, weights: Floats) -> Floats:
    return np.asarray(design.T @ (design * weights[:, np.newaxis]))


def _solve(matrix: Floats, right: Floats) -> Floats:
    # A separated group sends its weights to zero: a ridge far below the rest keeps the solution of the others.
    ridge = 1e-12 * float(np.trace(matrix)) / matrix.shape[0]
    try:
        return np.asarray(np.linalg.solve(matrix + ridge * np.eye(matrix.shape[0]), right))
    except np.linalg.LinAlgError as error:
        raise NoFitError("two of its groups cannot be told apart") from error


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """An average marginal effect and its gradient with respect to the coefficients, shape (p,)."""

    value: float
    gradient: Floats

    def standard_error(self, covariance: Floats) -> float:
        """By the delta method."""
        return math.sqrt(max(0.0, float(self.gradient @ covariance @ self.gradient)))


def effect(found: Fit, treated: Floats, reference: Floats, weights: Floats) -> Effect:
    """Mean over rows of predicted P(treated) - P(reference).

    Args:
        found: The fit.
        treated: The rows' design with the treatment switched on, shape (rows, p).
        reference: The same with it switched off.
        weights: Replies of each row that are averaged over, shape (rows,).
    """
    share = weights / weights.sum()
    p_trt, p_ref = expit(treated @ found.coefficients), expit(reference @ found.coefficients)
    slope_trt, slope_ref = share * p_trt * (1.0 - p_trt), share * p_ref * (1.0 - p_ref)
    return Effect(float(share @ (p_trt - p_ref)), treated.T @ slope_trt - reference.T @ slope_ref)


def clustered(found: Fit, scores: Floats) -> Floats:
    """Sandwich covariance with clusters, times G / (G - 1) for G clusters.

    Args:
        found: The fit.
        scores: Sum over each cluster's replies of x (y - p), shape (clusters, p).
    """
    clusters = scores.shape[0]
    meat = scores.T @ scores * (clusters / max(1, clusters - 1))
    return np.asarray(found.covariance @ meat @ found.covariance)
