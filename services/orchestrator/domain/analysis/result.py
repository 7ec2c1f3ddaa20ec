"""A finished comparison of two arms: plain values, ready for JSON through `dataclasses.asdict`.

Rates, differences and bounds are shares (0.02 is two points) unless said; None stands where there is nothing to say. A
positive difference means that the treated arm does it more often. Source: METHOD section 8, "Reported".
"""

from __future__ import annotations

from dataclasses import dataclass

from services.orchestrator.domain.analysis.ibrahim2026.result import Study

# Names of the marginals in `task`, `context` and `belief` of a row.
OVERALL = "overall"
ALL = "all"
ANY_CONTEXT = "any"
CONTEXT_GROUPS = ("emotion", "relation", "stakes")
NO_BELIEF = "no_belief"
FALSE_BELIEF = "false_belief"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A difference with its two-sided interval.

    Attributes:
        value: Mean over items; of tasks, mean of the task means.
        lower: None below two items.
        upper: None below two items.
        standard_error: Plain standard error over items.
        n_items: Items that entered.
    """

    value: float
    lower: float | None
    upper: float | None
    standard_error: float | None
    n_items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table: a yes/no outcome of both arms over the same pairs.

    Attributes:
        metric: `error`, `error_study` (pairs with a refusal dropped; in disinfo a refusal is correct), `adopts_belief`
            (under the levels without a belief: the false answer comes unprompted) or `refusal`.
        task: A task, or `overall`: the mean of the task means.
        context: A context; a group (`emotion`, `relation`, `stakes`); `any` (all but none); `all`.
        belief: A level; `no_belief` (none, none_lead_in); `false_belief` (asserts_false, denies_true); `all`.
        rate_ref: Reference's rate; `rate_trt - rate_ref` is the estimate.
        rate_ref_lower: Wilson bound.
        rate_ref_upper: Wilson bound.
        rate_trt: Treated arm's rate.
        rate_trt_lower: Wilson bound.
        rate_trt_upper: Wilson bound.
        estimate: Mean paired difference.
        lower: Lower bound of its two-sided interval; None below two items.
        upper: Upper bound.
        standard_error: Plain standard error.
        worse: Pairs where only the treated arm has the outcome.
        better: Pairs where only the reference has it.
        k_discordant: Items with any discordant pair.
        discordance: d, share of discordant pairs.
        rho: Correlation of an item's differences over its cells and repeats; None with one pair an item.
        n_items: Items with a pair.
        n_pairs: Pairs.
        n_asked: Pairs asked for, graded or not.
        failed_ref: Share of the reference's calls that failed.
        failed_trt: Share of the treated arm's calls that failed.
        ungradable_ref: Share of the reference's answers without the outcome.
        ungradable_trt: Share of the treated arm's answers without the outcome.
        worst_lower: Estimate if every missing outcome favoured the treated arm, over all items asked. A pair of which one
            reply is known has only two outcomes left, so the estimate without such pairs may lie outside the two bounds.
        worst_upper: Estimate if every missing outcome went against it.
    """

    metric: str
    task: str
    context: str
    belief: str
    rate_ref: float
    rate_ref_lower: float
    rate_ref_upper: float
    rate_trt: float
    rate_trt_lower: float
    rate_trt_upper: float
    estimate: float
    lower: float | None
    upper: float | None
    standard_error: float | None
    worse: int
    better: int
    k_discordant: int
    discordance: float
    rho: float | None
    n_items: int
    n_pairs: int
    n_asked: int
    failed_ref: float
    failed_trt: float
    ungradable_ref: float
    ungradable_trt: float
    worst_lower: float
    worst_upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanRow:
    """One line of a table of a measured quantity: SocioT (nats per token) or reply length (characters).

    Attributes:
        quantity: `warmth` or `length`.
        task: As in Row.
        context: As in Row.
        belief: As in Row.
        mean_ref: Reference's mean, items weighing equally.
        mean_trt: Treated arm's mean.
        difference: Mean paired difference with its interval (Student's t over items).
        n_pairs: Pairs in which both replies were measured.
    """

    quantity: str
    task: str
    context: str
    belief: str
    mean_ref: float
    mean_trt: float
    difference: Estimate
    n_pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """Exact two-sided McNemar test of one task, context and belief level at the first repeat.

    Attributes:
        worse: Pairs where only the treated arm is wrong.
        better: Pairs where only the reference is wrong.
        n_pairs: Pairs.
        p: Exact p.
        p_adjusted: Benjamini-Hochberg over the contexts (nine at most) of the same task and belief level.
    """

    task: str
    context: str
    belief: str
    worse: int
    better: int
    n_pairs: int
    p: float
    p_adjusted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ame:
    """Average marginal effect of a logit GLM on errors, as the study reports it (METHOD section 7).

    Attributes:
        model: `plain` (model 1), `plain_length` (model 1 with reply length), `context_group` (2), `context` (3), `belief` (4).
        level: Rows averaged over: `all`; a context group or context, or `none`; `no_belief` or `false_belief`.
        value: Mean over these rows of predicted P(treated) - P(reference); None if the fit does not exist.
        se_classical: Standard error as published: replies as if independent.
        se_clustered: Standard error with replies clustered by item.
        n_replies: Replies (rows of the GLM) in all.
        note: Why there is no value, or what to know about it; else empty.
    """

    model: str
    level: str
    value: float | None
    se_classical: float | None
    se_clustered: float | None
    n_replies: int
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeChange:
    """Treated rate over reference rate, minus 1.

    Attributes:
        task: A task, or `overall`: the mean over tasks that have one.
        belief: `no_belief` (as published, context none) or `false_belief` (all contexts).
        value: 0.6 is 60 % more errors; None where the reference has none.
        lower: Lower bound (log ratio, items as clusters); None where it does not exist.
        upper: Upper bound.
    """

    task: str
    belief: str
    value: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BeliefEffect:
    """What a stated belief does to the difference between the arms, all contexts that have both levels.

    Attributes:
        metric: `error` or `adopts_belief`.
        task: A task or `overall`.
        belief: `asserts_false`, `denies_true`, `false_belief` (both), `asserts_true`.
        gap: Treated minus reference given the belief.
        reference_gap: The same under none_lead_in, over the items that have both.
        increment: Difference in differences, gap given the belief minus gap under none_lead_in, within items; None where
            none_lead_in was not asked. Of adopts_belief only for asserts_false: without a belief the count is of
            unprompted false answers, which is no reference for rejecting the right one.
    """

    metric: str
    task: str
    belief: str
    gap: Estimate
    reference_gap: Estimate | None
    increment: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthShare:
    """How much of the difference in errors goes with reply length.

    Attributes:
        belief: `no_belief` (context none, as published) or `false_belief` (all contexts).
        without_length: AME without the covariate.
        with_length: AME with reply length as covariate.
        share: 1 - with / without; None unless the AME without it is at least two standard errors from zero.
    """

    belief: str
    without_length: float
    with_length: float
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRange:
    """How the difference in one context depends on single statements: each left out once.

    Attributes:
        context: A context.
        belief: `no_belief` or `false_belief`.
        estimate: Mean paired difference with all statements.
        lowest: Smallest estimate with one statement left out.
        lowest_without: That statement's id.
        highest: Largest estimate with one statement left out.
        highest_without: That statement's id.
        n_statements: Statements used.
    """

    context: str
    belief: str
    estimate: float
    lowest: float
    lowest_without: str
    highest: float
    highest_without: str
    n_statements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One paired contrast.

    Attributes:
        name: Name of the contrast.
        treated: Treated arm.
        reference: Arm compared against.
        confidence: Two-sided confidence of every interval here.
        tasks: Tasks, sorted.
        contexts: Contexts asked, in the method's order.
        beliefs: Belief levels asked, in the method's order.
        n_items: Items.
        n_pairs: Pairs asked for.
        rows: Errors by task x context x belief with all marginals; the line for everything is overall, all, all.
        study_rows: The same in the study's form.
        adoption: adopts_belief, same keys but no line for all belief levels together.
        refusals: Refusals, same keys.
        mcnemar: Tests.
        ame: GLM effects.
        relative: Relative changes, `overall` first.
        belief_effects: By metric, task and belief, `overall` first.
        warmth: SocioT; empty where it was not measured.
        length: Reply length.
        length_shares: Its share in the effect.
        statements: Leave-one-statement-out ranges.
        study: The contrast in the study's own form.
        notes: What a reader should know.
    """

    name: str
    treated: str
    reference: str
    confidence: float
    tasks: tuple[str, ...]
    contexts: tuple[str, ...]
    beliefs: tuple[str, ...]
    n_items: int
    n_pairs: int
    rows: tuple[Row, ...] = ()
    study_rows: tuple[Row, ...] = ()
    adoption: tuple[Row, ...] = ()
    refusals: tuple[Row, ...] = ()
    mcnemar: tuple[McNemar, ...] = ()
    ame: tuple[Ame, ...] = ()
    relative: tuple[RelativeChange, ...] = ()
    belief_effects: tuple[BeliefEffect, ...] = ()
    warmth: tuple[MeanRow, ...] = ()
    length: tuple[MeanRow, ...] = ()
    length_shares: tuple[LengthShare, ...] = ()
    statements: tuple[StatementRange, ...] = ()
    study: Study | None = None
    notes: tuple[str, ...] = ()

    def row(self, task: str = OVERALL, context: str = ALL, belief: str = ALL, metric: str = "error") -> Row | None:
        """A line of the tables of rates; None where no pair was graded there."""
        table = {
            "error": self.rows,
            "error_study": self.study_rows,
            "adopts_belief": self.adoption,
            "refusal": self.refusals,
        }[metric]
        wanted = (task, context, belief)
        return next((row for row in table if (row.task, row.context, row.belief) == wanted), None)
