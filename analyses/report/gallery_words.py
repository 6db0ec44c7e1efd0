"""How to read each figure of the catalogue, in plain words."""

from __future__ import annotations

READING: dict[str, str] = {
    "caterpillar": (
        "Every point is one person, sorted by how far the person lies from the average (the line at zero). The line "
        "through a point is its interval: where it crosses zero, the person may well be average. Persons with few "
        "rows lie close to zero because the model borrows from the others, not because they are average."
    ),
    "distributions": (
        "Every point is one person; the box holds the middle half of a group, the thick line its middle. Compare "
        "where the boxes lie and how far the points spread. Boxes that overlap do not prove that groups are alike: "
        "that is what the tests are for."
    ),
    "ridges": (
        "Each line is one group’s distribution over its persons: the higher, the more persons. Lines on top of each "
        "other mean that the groups are alike in this parameter. The wider a hill, the more persons differ."
    ),
    "factor-distributions": (
        "One row for each grouping factor: the wider, the more it matters who or what the level is. The filled hill "
        "shows the estimates of the levels, the line the distribution they are drawn from; the hill is the narrower "
        "one, since estimates of levels with few rows are pulled to zero. At the right, the standard deviation with "
        "its interval."
    ),
    "marked-distributions": (
        "The same, with a dashed line for the levels of one row: a line far out says that this level moves the "
        "prediction much, and more than most of its kind would."
    ),
    "contributions": (
        "Read from top to bottom: what the model predicts without knowing anybody, what each level adds (orange) or "
        "takes off (blue), and where this ends. The black lines are intervals of what the level adds; one that reaches "
        "to the beginning of its bar means that the level may well add nothing."
    ),
    "shrinkage": (
        "Each person stands twice: open, from the person’s own rows alone, and filled, with the model; the line "
        "joins the two. With few rows (left) the model pulls far towards the average person, with many (right) "
        "hardly. Open points far out at the left are mostly chance."
    ),
    "variance": (
        "Each bar is the share of what persons change in the model that comes from one of its parts. A long bar "
        "says where persons differ; it does not say that the difference matters for prediction."
    ),
    "calibration": (
        "Points on the diagonal mean that the prediction is right on average: what is predicted with a chance of 30 "
        "percent occurs in 30 percent of the rows. Points below it mean that the model expects too much, points "
        "above it too little. Look at whether the interval touches the diagonal."
    ),
    "baseline": (
        "Every point is one person. A rising line says that the model stores the person’s usual level in the bias. "
        "Points far from the line are persons whose level the model explains by their predictors."
    ),
    "training": (
        "The loss falls while the model learns. Where the validation metric stops improving, training ends and the "
        "best state is taken; a rise after that would be learning by heart."
    ),
    "person-matrix": (
        "Read a row from left to right: from this state, how likely is each next one? The third panel shows how the "
        "person differs from the average person, in percentage points. Hatched cells were never observed, so that "
        "they show what is usual for others."
    ),
    "person-series": (
        "Points are what the person reported, the solid line what the model predicted for this person, the dashed "
        "one what it would predict for an average person. Only in the grey part, which was kept out of training, "
        "does agreement say that the model predicts."
    ),
    "hsic-null": (
        "The bars show how large the statistic gets when group labels are shuffled, so that groups cannot differ. "
        "The line is what was observed. The share of shuffles at least as large as it is the p-value."
    ),
    "differences": (
        "Each cell shows how much more likely a transition is in the first group. The thick line is the interval of "
        "this cell alone, the thin one allows for looking at all cells. Yellow cells stay clear of zero even then."
    ),
    "group-matrices": (
        "Read a row from left to right: from this state, how likely is each next one on average in the group? The "
        "last panel shows the difference, orange where the first group is higher and blue where it is lower."
    ),
    "forest": (
        "One line per transition. Points right of zero are transitions more likely in the first group. The thick "
        "line is the interval of this transition alone, the thin one allows for looking at all of them: trust the "
        "thin ones when you had no question about a single transition beforehand."
    ),
    "person-matrices": (
        "Each small square is one person’s matrix, brighter where a transition is likelier; persons are sorted by "
        "how often they stay in a state. Look for squares that differ within a group: an average hides them."
    ),
    "network": (
        "Symbols are states, arrows are transitions with their probability in percent; thicker arrows are likelier. "
        "Weak arrows are left out, so that a missing arrow is rare rather than impossible. The last network shows "
        "differences of the groups, dashed where they are negative."
    ),
    "sequences": (
        "Each line is one person, each segment one row in time, coloured by its state; the height of a bar tells "
        "the state too. Long stretches of a colour are states that last; white gaps are rows without an answer."
    ),
    "state-shares": (
        "The height of a colour is how often the state occurs on that day, or at that time of day. A share that "
        "changes means that one average over all times hides something."
    ),
    "model-comparison": (
        "Left, the mean metric of each model over persons; letters after < name the models that are clearly better. "
        "Right, the difference to the best model on the same persons: an interval that leaves out zero is a clear "
        "difference. Intervals at the left may overlap even then, because persons who are hard for one model are "
        "hard for all."
    ),
    "person-comparison": (
        "Each line is one person, from the first model’s value to the second’s. To the left are persons for whom "
        "the first model is better, to the right those for whom the second is. A better mean can hide persons who "
        "lose."
    ),
    "less-data": (
        "To the left, each person has fewer rows to learn from. Lines that come together mean that a personal model "
        "loses its lead with little data; lines that cross mean that it needs more rows than you have. Letters at "
        "the top name clear differences."
    ),
    "multiverse": (
        "Each point is the same comparison made with another set of choices, sorted by its effect; the marks below "
        "it name the choices. Filled points are significant on their own. If one choice holds all filled points, "
        "the finding hangs on that choice. Short black lines show the effect that chance alone would give."
    ),
    "power": (
        "The share of simulated studies that would find the difference. Look for the smallest design above the "
        "dashed line. More persons help more than more rows once each person’s own pattern is known well."
    ),
    "stability": (
        "Right of the dotted line, a value comes out alike when the model is fitted again: persons keep their "
        "places. Open points do not reach it; do not read anything into single persons’ values of these parameters. "
        "A difference between groups can still be stable."
    ),
    "slopes": (
        "How many percentage points more likely a transition is with each step of the covariate. The thick line is "
        "the interval of this transition alone, the thin one allows for looking at all. It describes persons who "
        "differ in the covariate, not what happens when a person’s value changes."
    ),
    "plausible": (
        "Left, each person’s estimated transitions are taken as if they were known. Right, they count as the "
        "estimates they are: the difference is larger, because estimates are pulled towards the average, and its "
        "interval wider. Findings that hold at the right do not rest on overconfidence about single persons."
    ),
    "adaptation": (
        "At the left, models that never saw these persons predict them; to the right, they adapt to more and more "
        "of their rows. The rows that are predicted are the same everywhere. A steep start means that few rows are "
        "enough."
    ),
    "gate-map": (
        "Each row is one person, each column one expert; bright cells are experts that decide what is predicted for "
        "that person. A staircase means that experts belong to persons. A bright column is an expert for everybody, "
        "and even rows mean that the gate does not tell persons apart. New persons have no expert of their own: "
        "theirs is a mixture."
    ),
    "label-density": (
        "The inner outline holds half of the ratings of a part, the outer one 90 percent; the curves at the edges "
        "show each target on its own. Outlines at different places mean that a model trained on one part meets "
        "ratings of another kind in the other."
    ),
    "true-effects": (
        "In simulated data the truth is known. Points on the dashed line are recovered exactly. A cloud flatter "
        "than the line means that effects are pulled towards the average, as they should be when each person has "
        "few rows."
    ),
    "drivers": (
        "Left, every person’s probability; points with an outline push the difference most. Right, the difference "
        "that remains without each person, with its interval: if it jumps when one person is left out, the finding "
        "is about that person. The dashed line is the difference with everybody."
    ),
    "marked-case": (
        "Each hill shows all persons on one parameter; the diamond is the one person, with the interval of the "
        "estimate. A diamond at the edge of a hill is unusual; a wide interval says that it is not known well where "
        "the person lies."
    ),
}
