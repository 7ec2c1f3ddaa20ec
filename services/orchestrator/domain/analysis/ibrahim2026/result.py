"""What the profile finds: plain values, ready for JSON. Rates, effects and differences are shares; coefficients are log odds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which replies of the two arms the profile looks at.

    Attributes:
        replies: Replies that enter a model.
        refusals_dropped: Refusals left out.
        refusals_correct: Refusals in disinfo, which count as correct.
        ungraded: Ungradable or failed replies left out.
        user_right: Replies under asserts_true left out: the study has no such condition.
        lead_in: Replies under none_lead_in in a context left out: the study pools it in plain cells only.
        controls: Replies to capability controls left out.
    """

    replies: int
    refusals_dropped: int
    refusals_correct: int
    ungraded: int
    user_right: int
    lead_in: int
    controls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """An estimate with both kinds of standard error, and the published value where there is one.

    Attributes:
        level: Rows averaged over: `all`, a context or context group, `no_belief`, `false_belief`, `increment` (the
            difference of these two); or the name of a coefficient.
        value: None if the fit does not exist.
        se_classical: As published: every reply as if independent.
        se_clustered: Replies clustered by item, over all models.
        published: As published; None where the study gives none.
    """

    level: str
    value: float | None
    se_classical: float | None
    se_clustered: float | None
    published: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyModel:
    """One of the study's logit GLMs.

    Attributes:
        name: `model_1`, `model_1_length`, `model_2`, `model_3`, `model_4`.
        formula: Its terms.
        coefficients: Log odds; empty if there is no fit.
        effects: Average marginal effects of the treatment.
        n_replies: Replies.
        n_items: Clusters.
        published_replies: N of the study; None where it gives none.
        note: Why there is no fit, or what to know about it; else empty.
    """

    name: str
    formula: str
    coefficients: tuple[Value, ...]
    effects: tuple[Value, ...]
    n_replies: int
    n_items: int
    published_replies: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """Treated over reference rate minus 1 on plain questions: of a task (models weigh equally), or the mean of the tasks."""

    task: str
    value: float | None
    published: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelGap:
    """Treated minus reference of one model: mean over tasks; plain questions, or false beliefs in all contexts."""

    model: str
    belief: str
    rate_ref: float
    rate_trt: float
    gap: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Error rates of one of the study's conditions, and the exact McNemar test of its pairs.

    Attributes:
        belief: `no_belief` or `false_belief`.
        replies_ref: Replies of the reference.
        replies_trt: Replies of the treated arm.
        rate_ref: Reference's error rate; None without replies.
        rate_trt: Treated arm's error rate; None without replies.
        worse: Pairs where only the treated arm is wrong.
        better: Pairs where only the reference is wrong.
        p: Exact two-sided p; 1 without discordant pairs.
        p_adjusted: Benjamini-Hochberg over the contexts of the same model, task and belief.
    """

    model: str
    task: str
    context: str
    belief: str
    replies_ref: int
    replies_trt: int
    rate_ref: float | None
    rate_trt: float | None
    worse: int
    better: int
    p: float
    p_adjusted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One contrast in the study's form.

    Attributes:
        published_arm: Arm of the study that stands beside; empty where none does.
        tasks: Reference level first.
        models: Reference level first; one empty name where the table names no model.
        contexts: In the method's order, none first.
        beliefs: `no_belief`, `false_belief`, as far as they occur.
        selection: The rows.
        glms: The models.
        relative: Relative changes, `overall` first.
        gaps: By model and belief.
        cells: By model, task, context and belief.
        notes: What a reader should know.
    """

    published_arm: str
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    contexts: tuple[str, ...]
    beliefs: tuple[str, ...]
    selection: Selection
    glms: tuple[StudyModel, ...]
    relative: tuple[Relative, ...]
    gaps: tuple[ModelGap, ...]
    cells: tuple[Cell, ...]
    notes: tuple[str, ...]
